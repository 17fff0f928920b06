// The door of sandboxd: its verbs for sandboxes and layers and the isolation report as HTTP over a unix socket. Every argument is parsed here;
// the program behind runs as root, so nothing that is not in the schemas comes through. Who may connect is decided by the
// mode and group of the socket alone.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { z } from 'zod'
import type { Logger } from '../lib/logger.ts'
import { AppError, toAppError } from '../protocol/errors.ts'
import { layerIdSchema, sessionIdSchema } from '../protocol/ids.ts'
import { MAX_GRACE_MS, type SandboxDriver } from './driver.ts'
import { sandboxImageSchema, sandboxSpecSchema } from './spec.ts'

/** A session file of 64 KiB in JSON, with every character escaped. */
const MAX_BODY_BYTES = 512 << 10

const stopSchema = z.strictObject({ graceMs: z.int().min(0).max(MAX_GRACE_MS) })
const keepSchema = z.strictObject({ layerId: layerIdSchema })

/** The caller listens and closes. */
export function createSandboxServer(driver: SandboxDriver, logger: Logger): Server {
  return createServer((request, response) => {
    const startedAt = performance.now()
    const { method, url } = request
    const finish = (status: number, body: unknown, error?: AppError) => {
      answer(response, status, body)
      const ms = Math.round(performance.now() - startedAt)
      if (error) logger.warn({ method, url, status, ms, err: error }, error.message)
      else logger.debug({ method, url, status, ms })
    }
    route(driver, request, response).then(
      (body) => finish(200, body ?? {}),
      (reason) => {
        const error = toAppError(reason)
        finish(error.status, error.toBody(), error)
      },
    )
  })
}

async function route(
  driver: SandboxDriver,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<unknown> {
  const [, resource, id, verb, more] = (request.url ?? '').split('/')
  const asked = `${request.method} ${resource} ${id === undefined ? '' : 'id'} ${verb ?? ''}`
  if (more !== undefined) throw unknownRoute()
  switch (asked.trim()) {
    case 'GET isolation':
      return await driver.isolation()
    case 'GET sandboxes':
      return await driver.list()
    case 'POST images id':
      if (id !== 'identify') throw unknownRoute()
      return {
        identity: await driver.identify(parse(sandboxImageSchema, await readBody(request))),
      }
    case 'POST sandboxes':
      return await driver.create(
        parse(sandboxSpecSchema, await readBody(request)),
        closeSignal(response),
      )
    case 'GET sandboxes id use':
      return { usedMs: await driver.usedMs(parse(sessionIdSchema, id)) }
    case 'POST sandboxes id start':
      return await driver.start(parse(sessionIdSchema, id), closeSignal(response))
    case 'POST sandboxes id stop':
      return await driver.stop(
        parse(sessionIdSchema, id),
        parse(stopSchema, await readBody(request)),
      )
    case 'DELETE sandboxes id':
      return await driver.remove(parse(sessionIdSchema, id))
    case 'POST sandboxes id keep':
      return await driver.keepLayer(
        parse(sessionIdSchema, id),
        parse(keepSchema, await readBody(request)).layerId,
      )
    case 'GET layers':
      return await driver.listLayers()
    case 'DELETE layers id':
      return await driver.removeLayer(parse(layerIdSchema, id))
    default:
      throw unknownRoute()
  }
}

/** Aborts when the caller goes away before the answer. */
function closeSignal(response: ServerResponse): AbortSignal {
  const controller = new AbortController()
  const gone = new AppError('unavailable', 'caller_gone', 'The caller has gone')
  response.on('close', () => {
    if (!response.writableFinished) controller.abort(gone)
  })
  return controller.signal
}

async function readBody(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > MAX_BODY_BYTES)
      throw new AppError('too_large', 'body_too_large', 'The request is too large')
    chunks.push(chunk)
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'))
  } catch (error) {
    throw new AppError('invalid', 'bad_json', 'The request is not JSON', { cause: error })
  }
}

function parse<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  throw new AppError('invalid', 'bad_argument', z.prettifyError(result.error))
}

function unknownRoute(): AppError {
  return new AppError('not_found', 'unknown_route', 'sandboxd has no such verb')
}

function answer(response: ServerResponse, status: number, body: unknown): void {
  if (response.destroyed) return
  const text = JSON.stringify(body)
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
  })
  response.end(text)
}
