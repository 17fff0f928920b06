// How gateway, server and worker talk to gitd: typed control over its unix socket, and git's own streams passed through.
import { request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { z } from 'zod'
import { createLineSplitter } from '../lib/ndjson.ts'
import { connectPatiently } from '../lib/patient-connect.ts'
import { openUnix, requestUnix } from '../lib/unix-http.ts'
import { AppError, isErrorCode } from '../protocol/errors.ts'
import type { PushGrants } from '../protocol/session.ts'
import { lfsPath, parseLfsRequest } from './lfs/lfs-messages.ts'
import {
  BASE_HEADER,
  type CountFilesRequest,
  type Diff,
  type DiffRequest,
  diffSchema,
  encodeGrants,
  type FilesRequest,
  type Forwarded,
  type ForwardRequest,
  fileCountSchema,
  forwardedSchema,
  type GitDoorRequest,
  type LfsDoorRequest,
  type NearestCommit,
  type NearestRequest,
  nearestCommitSchema,
  type PreparedSession,
  type PrepareRequest,
  PUSH_HEADER,
  prepareLineSchema,
  type RepositoryFiles,
  repositoryFilesSchema,
  type SessionRefs,
  type SessionRequest,
  SUBMODULE_HEADER,
  type Submodules,
  type SubmodulesRequest,
  sessionRefsSchema,
  submodulesSchema,
  type Upload,
  uploadSchema,
} from './messages.ts'
import { type Observation, observationSchema } from './serving/observations.ts'
import {
  CREDENTIAL_HEADER,
  encodeCredential,
  type UpstreamCredential,
} from './upstream/credential.ts'

interface CallOptions {
  signal?: AbortSignal
}

export interface GitClient {
  prepareSession(
    request: PrepareRequest,
    options?: CallOptions & { onProgress?: (line: string) => void },
  ): Promise<PreparedSession>
  diff(request: DiffRequest, options?: CallOptions): Promise<Diff>
  files(request: FilesRequest, options?: CallOptions): Promise<RepositoryFiles>
  /** No further than `most`. */
  countFiles(request: CountFilesRequest, options?: CallOptions): Promise<{ files: number }>
  /** Which of the candidates, from whose work tree that of the commit is made soonest. */
  nearest(request: NearestRequest, options?: CallOptions): Promise<NearestCommit>
  sessionRefs(
    sessionId: string,
    options?: CallOptions & Pick<SessionRequest, 'repository'>,
  ): Promise<SessionRefs>
  submodules(request: SubmodulesRequest, options?: CallOptions): Promise<Submodules>
  forward(request: ForwardRequest, options?: CallOptions): Promise<Forwarded>
  removeSession(sessionId: string, options?: CallOptions): Promise<void>
  createUpload(ownerId: string, options?: CallOptions): Promise<Upload>
  removeUpload(uploadId: string, options?: CallOptions): Promise<void>
  /** All after `n` that is not acknowledged, then each new one. Ends when gitd goes away: follow again. */
  observations(after: number, signal: AbortSignal): AsyncGenerator<Observation>
  acknowledgeObservations(n: number, options?: CallOptions): Promise<void>
}

const LINE_BYTES = 1 << 20

export function createGitClient(socketPath: string): GitClient {
  const post = async <T>(
    path: string,
    body: unknown,
    call: { schema: z.ZodType<T> } & CallOptions,
  ): Promise<T> => {
    const response = await reach(
      requestUnix(socketPath, { method: 'POST', path, body, signal: call.signal }),
    )
    if (response.status !== 200) throw toError(response.body)
    return call.schema.parse(response.body)
  }
  const ignore = z.unknown()
  return {
    prepareSession: async (body, { signal, onProgress } = {}) => {
      const path = '/sessions/prepare'
      const response = await reach(openUnix(socketPath, { method: 'POST', path, body, signal }))
      for await (const line of jsonLines(response)) {
        const message = prepareLineSchema.parse(line)
        if (message.type === 'prepared') return message.session
        if (message.type === 'failed') throw toError(message)
        onProgress?.(message.line)
      }
      throw gone()
    },
    diff: (request, options) => post('/sessions/diff', request, { schema: diffSchema, ...options }),
    files: (request, options) =>
      post('/sessions/files', request, { schema: repositoryFilesSchema, ...options }),
    countFiles: (request, options) =>
      post('/sessions/count-files', request, { schema: fileCountSchema, ...options }),
    nearest: (request, options) =>
      post('/sessions/nearest', request, { schema: nearestCommitSchema, ...options }),
    sessionRefs: (sessionId, { repository, ...options } = {}) =>
      post('/sessions/refs', { sessionId, repository }, { schema: sessionRefsSchema, ...options }),
    submodules: (request, options) =>
      post('/sessions/submodules', request, { schema: submodulesSchema, ...options }),
    forward: (request, options) =>
      post('/sessions/forward', request, { schema: forwardedSchema, ...options }),
    removeSession: async (sessionId, options) => {
      await post('/sessions/remove', { sessionId }, { schema: ignore, ...options })
    },
    createUpload: (ownerId, options) =>
      post('/uploads/create', { ownerId }, { schema: uploadSchema, ...options }),
    removeUpload: async (uploadId, options) => {
      await post('/uploads/remove', { uploadId }, { schema: ignore, ...options })
    },
    observations: async function* (after, signal) {
      const path = `/observations?after=${after}`
      const response = await reach(openUnix(socketPath, { method: 'GET', path, signal }))
      for await (const line of jsonLines(response)) yield observationSchema.parse(line)
    },
    acknowledgeObservations: async (n, options) => {
      await post('/observations/ack', { n }, { schema: ignore, ...options })
    },
  }
}

/** Lines of an answer with status 200; throws what any other says. */
async function* jsonLines(response: IncomingMessage): AsyncGenerator<unknown> {
  const split = createLineSplitter(LINE_BYTES)
  let text = ''
  for await (const chunk of response as AsyncIterable<Buffer>) {
    if (response.statusCode === 200) for (const line of split(chunk)) yield JSON.parse(line)
    else text += chunk.toString('utf8')
  }
  if (response.statusCode !== 200) throw toError(JSON.parse(text))
}

const failureSchema = z.object({
  error: z.object({ code: z.string(), reason: z.string(), message: z.string() }),
})

function toError(body: unknown): AppError {
  const { data } = failureSchema.safeParse(body)
  if (!data || !isErrorCode(data.error.code))
    return new AppError('internal', 'git_failed', 'git failed.')
  return new AppError(data.error.code, data.error.reason, data.error.message)
}

function gone(cause?: unknown): AppError {
  return new AppError(
    'unavailable',
    'gitd_unavailable',
    'The git program of Errand is not running.',
    { cause },
  )
}

async function reach<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT' || code === 'ECONNREFUSED' || code === 'ECONNRESET') throw gone(error)
    throw error
  }
}

export type GitTarget = (GitDoorRequest | LfsDoorRequest) & {
  /** What the caller may push to beside the session's branch; null: nothing at all. Uploads always take pushes. */
  push: PushGrants | null
  credential?: UpstreamCredential
  /** The repository's address for its caller; without it there are no large files. */
  base?: string
  /** The address of a submodule. */
  submodule?: string
}

export interface GitProxying {
  socketPath: string
  target: GitTarget
  /** How long nothing may move in an answer to a read; five minutes unless told. */
  silenceMs?: number
}

/** How long a git client waits for a gitd that is being started again. */
const PATIENCE_MS = 30_000
const SILENCE_LIMIT_MS = 300_000

const DOOR_PATH = /\/(info\/refs|git-upload-pack|git-receive-pack)$/

/** What a git client asks for, from the path and query it sent; undefined when it is no request of smart HTTP or LFS. */
export function parseGitRequest(
  method: string,
  requestUrl: string,
): Pick<GitDoorRequest, 'service' | 'advertise'> | Pick<LfsDoorRequest, 'lfs'> | undefined {
  if (!URL.canParse(requestUrl, 'http://door')) return undefined
  const url = new URL(requestUrl, 'http://door')
  const lfs = parseLfsRequest(method, url.pathname)
  if (lfs) return { lfs }
  const what = DOOR_PATH.exec(url.pathname)?.[1]
  const advertise = what === 'info/refs'
  const service = advertise ? url.searchParams.get('service') : what
  if (service !== 'git-upload-pack' && service !== 'git-receive-pack') return undefined
  return method === (advertise ? 'GET' : 'POST') ? { service, advertise } : undefined
}

const PASSED_HEADERS = [
  'content-type',
  'content-encoding',
  'content-length',
  'git-protocol',
  'accept',
]

/** Passes a git client's request to gitd and the answer back. Resolves when the answer has ended; never rejects. */
export async function proxyGit(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  { socketPath, target, silenceMs = SILENCE_LIMIT_MS }: GitProxying,
): Promise<void> {
  const gone = new AbortController()
  outgoing.once('close', () => gone.abort(new Error('the client has gone')))
  try {
    const socket = await connectPatiently({ socketPath, patienceMs: PATIENCE_MS }, gone.signal)
    await passThrough(incoming, outgoing, { socket, target, silenceMs })
  } catch {
    refuse(outgoing)
  }
}

function passThrough(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  { socket, target, silenceMs }: { socket: Socket; target: GitTarget; silenceMs: number },
): Promise<void> {
  const ended = Promise.withResolvers<void>()
  const headers: Record<string, string> = {}
  for (const name of PASSED_HEADERS) {
    const value = incoming.headers[name]
    if (typeof value === 'string') headers[name] = value
  }
  if (target.push) headers[PUSH_HEADER] = encodeGrants(target.push)
  if (target.credential) headers[CREDENTIAL_HEADER] = encodeCredential(target.credential)
  if (target.base !== undefined) headers[BASE_HEADER] = target.base
  if (target.submodule !== undefined) headers[SUBMODULE_HEADER] = target.submodule
  const path = pathOf(target)
  // With a connection of its own no agent has a part in it: it is closed after the one request.
  const createConnection = () => socket
  const upstream = httpRequest({ createConnection, method: incoming.method, path, headers })
  upstream.on('response', (response) => {
    // What is read is written by git itself, which would wait for ever where nothing moves.
    if ('service' in target && target.service === 'git-upload-pack')
      socket.setTimeout(silenceMs, () => socket.destroy(new Error('nothing moves')))
    outgoing.writeHead(response.statusCode ?? 502, passedBack(response))
    response.pipe(outgoing)
    response.on('error', () => outgoing.destroy())
  })
  upstream.on('error', () => refuse(outgoing))
  outgoing.on('close', () => {
    upstream.destroy()
    // An early answer is read by the client once it has sent the rest.
    incoming.unpipe(upstream)
    incoming.resume()
    ended.resolve()
  })
  incoming.on('error', () => upstream.destroy())
  incoming.pipe(upstream)
  return ended.promise
}

function pathOf(target: GitTarget): string {
  const { kind, id, repository } = target
  const at = `/git/${kind}/${repository === undefined ? id : `${id}/${repository}.git`}`
  if ('lfs' in target) return `${at}/${lfsPath(target.lfs)}`
  const { service, advertise } = target
  return `${at}/${advertise ? `info/refs?service=${service}` : service}`
}

function passedBack(response: IncomingMessage): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const name of ['content-type', 'content-length', 'cache-control', 'expires', 'pragma']) {
    const value = response.headers[name]
    if (typeof value === 'string') headers[name] = value
  }
  return headers
}

function refuse(outgoing: ServerResponse): void {
  if (outgoing.headersSent || outgoing.destroyed) {
    outgoing.destroy()
    return
  }
  outgoing.writeHead(503, { 'content-type': 'text/plain' })
  outgoing.end('errand: git is not available at the moment\n')
}
