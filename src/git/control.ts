// HTTP of gitd: JSON for server and worker, newline-delimited JSON where an answer grows, git's own protocol for the doors.
// Whoever reaches the socket is trusted to have checked owner and scope; ids, URLs and names are checked here again.
import { createServer, type Server } from 'node:http'
import type { z } from 'zod'
import type { Logger } from '../lib/logger.ts'
import { encodeLine } from '../lib/ndjson.ts'
import { AppError, toAppError } from '../protocol/errors.ts'
import { parseLfsRequest } from './lfs/lfs-messages.ts'
import {
  acknowledgeRequestSchema,
  countFilesRequestSchema,
  createUploadRequestSchema,
  diffRequestSchema,
  filesRequestSchema,
  forwardRequestSchema,
  type GitDoorRequest,
  type LfsDoorRequest,
  nearestRequestSchema,
  type PrepareLine,
  prepareRequestSchema,
  removeSessionRequestSchema,
  sessionRequestSchema,
  submodulesRequestSchema,
  uploadRequestSchema,
} from './messages.ts'
import type { Repositories } from './repositories.ts'
import { readJsonBody } from './serving/request-body.ts'
import { abortOnClose, type Exchange } from './serving/smart-http.ts'

type Answer = (body: unknown, exchange: Exchange) => Promise<unknown>

const BODY_BYTES = 1 << 20
const DOOR =
  /^\/git\/(session|upload|submodule)\/([a-z0-9_]+)(?:\/([A-Za-z0-9_][A-Za-z0-9._-]*)\.git)?\/(info\/refs|git-upload-pack|git-receive-pack|info\/lfs\/objects\/[^?]+)$/

export function createGitServer(deps: { repositories: Repositories; log: Logger }): Server {
  const { repositories, log } = deps
  const routes = createRoutes(repositories)
  const server = createServer({
    maxHeaderSize: 128 * 1024,
    requestTimeout: 0,
    keepAliveTimeout: 60_000,
  })
  server.on('request', (incoming, outgoing) => {
    const exchange = { incoming, outgoing }
    answer(repositories, routes, exchange).catch((error) => fail(log, exchange, error))
  })
  server.on('clientError', (_error, socket) => socket.destroy())
  return server
}

function createRoutes(repositories: Repositories): Map<string, Answer> {
  const post = <T>(
    schema: z.ZodType<T>,
    work: (request: T, exchange: Exchange) => Promise<unknown>,
  ): Answer => {
    return (body, exchange) => work(parse(schema, body), exchange)
  }
  const signalOf = ({ outgoing }: Exchange) => abortOnClose(outgoing)
  return new Map<string, Answer>([
    ['GET /health', async () => ({ ok: true })],
    [
      'POST /sessions/prepare',
      post(prepareRequestSchema, (request, at) => prepare(repositories, request, at)),
    ],
    [
      'POST /sessions/diff',
      post(diffRequestSchema, (request, at) => repositories.diff(request, signalOf(at))),
    ],
    [
      'POST /sessions/files',
      post(filesRequestSchema, (request, at) => repositories.files(request, signalOf(at))),
    ],
    [
      'POST /sessions/count-files',
      post(countFilesRequestSchema, (request, at) =>
        repositories.countFiles(request, signalOf(at)),
      ),
    ],
    [
      'POST /sessions/nearest',
      post(nearestRequestSchema, (request, at) => repositories.nearest(request, signalOf(at))),
    ],
    ['POST /sessions/refs', post(sessionRequestSchema, (request) => repositories.refs(request))],
    [
      'POST /sessions/submodules',
      post(submodulesRequestSchema, (request) => repositories.submodules(request)),
    ],
    [
      'POST /sessions/forward',
      post(forwardRequestSchema, (request, at) => repositories.forward(request, signalOf(at))),
    ],
    [
      'POST /sessions/remove',
      post(removeSessionRequestSchema, ({ sessionId }) => repositories.removeSession(sessionId)),
    ],
    [
      'POST /uploads/create',
      post(createUploadRequestSchema, ({ ownerId }) => repositories.createUpload(ownerId)),
    ],
    [
      'POST /uploads/remove',
      post(uploadRequestSchema, ({ uploadId }) => repositories.removeUpload(uploadId)),
    ],
    ['GET /observations', (_body, at) => follow(repositories, at)],
    [
      'POST /observations/ack',
      post(acknowledgeRequestSchema, ({ n }) => repositories.observations.acknowledge(n)),
    ],
  ])
}

async function answer(
  repositories: Repositories,
  routes: Map<string, Answer>,
  exchange: Exchange,
): Promise<void> {
  const { incoming, outgoing } = exchange
  const url = new URL(incoming.url ?? '/', 'http://gitd')
  const door = doorRequest(incoming.method ?? '', url)
  if (door)
    return 'lfs' in door
      ? repositories.serveLfs(door, exchange)
      : repositories.serve(door, exchange)
  const route = routes.get(`${incoming.method} ${url.pathname}`)
  if (!route) throw new AppError('not_found', 'route_not_found', 'gitd has no such route.')
  const result = await route(
    incoming.method === 'POST' ? await readJsonBody(incoming, BODY_BYTES) : undefined,
    exchange,
  )
  if (outgoing.headersSent) return
  outgoing.writeHead(200, { 'content-type': 'application/json' })
  outgoing.end(JSON.stringify(result ?? {}))
}

function doorRequest(method: string, url: URL): GitDoorRequest | LfsDoorRequest | undefined {
  const [, kind, id = '', repository, what] = DOOR.exec(url.pathname) ?? []
  if (kind !== 'session' && kind !== 'upload' && kind !== 'submodule') return undefined
  const place = {
    kind: kind as GitDoorRequest['kind'],
    id,
    ...(repository === undefined ? {} : { repository }),
  }
  const lfs = parseLfsRequest(method, url.pathname)
  if (lfs) return { ...place, lfs }
  const advertise = what === 'info/refs'
  const service = advertise ? url.searchParams.get('service') : what
  if (service !== 'git-upload-pack' && service !== 'git-receive-pack')
    throw new AppError('unsupported', 'git_dumb_http_unsupported', 'Only smart HTTP is served.')
  if (method !== (advertise ? 'GET' : 'POST'))
    throw new AppError('invalid', 'method_not_allowed', `${method} is not allowed here.`)
  return { ...place, service, advertise }
}

/** Progress lines while it works, then the result or the error, all with status 200. */
async function prepare(
  repositories: Repositories,
  request: z.output<typeof prepareRequestSchema>,
  { outgoing }: Exchange,
): Promise<void> {
  const signal = abortOnClose(outgoing)
  const say = (line: PrepareLine) => {
    if (outgoing.writable) outgoing.write(encodeLine(line))
  }
  outgoing.writeHead(200, { 'content-type': 'application/x-ndjson' })
  outgoing.flushHeaders()
  try {
    const onLine = (line: string) => say({ type: 'progress', line: line.slice(0, 500) })
    say({ type: 'prepared', session: await repositories.prepare(request, { signal, onLine }) })
  } catch (error) {
    say({ type: 'failed', ...toAppError(error).toBody() })
  }
  outgoing.end()
}

async function follow(
  { observations }: Repositories,
  { incoming, outgoing }: Exchange,
): Promise<void> {
  const after = Number(new URL(incoming.url ?? '/', 'http://gitd').searchParams.get('after') ?? 0)
  if (!Number.isSafeInteger(after) || after < 0)
    throw new AppError('invalid', 'after_invalid', '"after" is the number of an observation.')
  const signal = abortOnClose(outgoing)
  outgoing.writeHead(200, { 'content-type': 'application/x-ndjson' })
  outgoing.flushHeaders()
  for await (const observation of observations.follow(after, signal))
    outgoing.write(encodeLine(observation))
  outgoing.end()
}

function parse<T>(schema: z.ZodType<T>, body: unknown): T {
  const result = schema.safeParse(body)
  if (result.success) return result.data
  // Names the place, never the value: it may be a secret.
  const places = result.error.issues.map((issue) => issue.path.join('.')).join(', ')
  throw new AppError('invalid', 'request_invalid', `The request is not valid at: ${places}`)
}

function fail(log: Logger, { incoming, outgoing }: Exchange, error: unknown): void {
  if (incoming.destroyed && !incoming.complete) {
    outgoing.destroy()
    return
  }
  const refusal = toAppError(error)
  if (refusal.code === 'internal') log.error({ err: error }, 'a request failed')
  if (outgoing.headersSent) {
    outgoing.destroy()
    return
  }
  outgoing.writeHead(refusal.status, { 'content-type': 'application/json', connection: 'close' })
  outgoing.end(JSON.stringify(refusal.toBody()))
}
