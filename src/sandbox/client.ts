// The driver as other programs see it: the same interface, carried to sandboxd over its unix socket.
import { z } from 'zod'
import { withDeadline } from '../lib/deadline.ts'
import { requestUnix } from '../lib/unix-http.ts'
import { AppError, isErrorCode } from '../protocol/errors.ts'
import {
  isolationReportSchema,
  keptLayerSchema,
  type SandboxDriver,
  sandboxStatusSchema,
  sandboxUseSchema,
} from './driver.ts'
import { imageIdentitySchema } from './spec.ts'

const errorBodySchema = z.object({
  error: z.object({ code: z.string(), reason: z.string(), message: z.string() }),
})

export interface SandboxClientConfig {
  socketPath: string
  /** The kind that sandboxd drives. */
  kind: string
  /** How long it may take to say what there is. */
  answerMs?: number
}

const ANSWER_MS = 30_000

export function createSandboxClient({
  socketPath,
  kind,
  answerMs = ANSWER_MS,
}: SandboxClientConfig): SandboxDriver {
  const send = async (method: string, path: string, body?: unknown, signal?: AbortSignal) => {
    const answer = await requestUnix(socketPath, { method, path, body, signal }).catch((error) => {
      signal?.throwIfAborted()
      throw new AppError('unavailable', 'sandboxd_unreachable', 'sandboxd does not answer', {
        cause: error,
      })
    })
    if (answer.status !== 200) throw toError(answer.body)
    return answer.body
  }
  /** Nobody ends this: who asks would wait for ever for one that hangs. */
  const look = (path: string) =>
    withDeadline('an answer of sandboxd', answerMs, (signal) =>
      send('GET', path, undefined, signal),
    )
  const at = (sessionId: string) => `/sandboxes/${encodeURIComponent(sessionId)}`
  return {
    kind,
    isolation: async () => isolationReportSchema.parse(await look('/isolation')),
    create: async (spec, signal) => {
      await send('POST', '/sandboxes', spec, signal)
    },
    start: async (sessionId, signal) => {
      await send('POST', `${at(sessionId)}/start`, undefined, signal)
    },
    stop: async (sessionId, options, signal) => {
      await send('POST', `${at(sessionId)}/stop`, options, signal)
    },
    list: async () => z.array(sandboxStatusSchema).parse(await look('/sandboxes')),
    usedMs: async (sessionId) => sandboxUseSchema.parse(await look(`${at(sessionId)}/use`)).usedMs,
    remove: async (sessionId, signal) => {
      await send('DELETE', at(sessionId), undefined, signal)
    },
    identify: async (image) =>
      imageIdentitySchema.parse(await send('POST', '/images/identify', image)).identity,
    keepLayer: async (sessionId, layerId) =>
      keptLayerSchema.parse(await send('POST', `${at(sessionId)}/keep`, { layerId })),
    listLayers: async () => z.array(keptLayerSchema).parse(await look('/layers')),
    removeLayer: async (layerId) => {
      await send('DELETE', `/layers/${encodeURIComponent(layerId)}`)
    },
  }
}

function toError(body: unknown): AppError {
  const parsed = errorBodySchema.safeParse(body)
  if (!parsed.success || !isErrorCode(parsed.data.error.code))
    return new AppError('internal', 'sandboxd_answer', 'sandboxd answered in an unknown form')
  const { code, reason, message } = parsed.data.error
  return new AppError(code, reason, message)
}
