// One session's door: an HTTP/1.1 server on a unix socket of its own, so the socket itself says who is calling and nothing
// inside needs a credential. It hands each request to egress, git, model or the runner channel, and caps what comes in.
// It trusts nothing that it reads; what one session does to its own door it does to itself alone.
import { chmod, lstat, mkdir, rm } from 'node:fs/promises'
import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http'
import { Socket } from 'node:net'
import { dirname } from 'node:path'
import type { Duplex } from 'node:stream'
import type { ForwardProxy } from '../egress/proxy/forward-proxy.ts'
import { isWebSocketUpgrade } from '../egress/proxy/proxy-upgrade.ts'
import type { Logger } from '../lib/logger.ts'
import { createTokenBucket, type Rate, type TakeToken } from '../lib/token-bucket.ts'
import { AppError } from '../protocol/errors.ts'
import { answerError, callRoute, type DoorRoute, GIT_BODY_BYTES } from './call-route.ts'
import { isDoorTunnel, isRunnerUpgrade, routeOf } from './routes.ts'
import type { RunnerChannel } from './runner-channel.ts'

export interface DoorRoutes {
  egress: ForwardProxy
  git: DoorRoute
  model: DoorRoute
  /** Which registries and hosts the session may reach; it opens no connection. */
  reach: DoorRoute
  /** What a setup script is given. */
  setup: DoorRoute
  runner: RunnerChannel
}

export interface DoorLimits {
  connections: number
  headerBytes: number
  /** The whole head of a request has to be there after this long. */
  headersMs: number
  /** A connection on which nothing moves is ended after this long. */
  idleMs: number
  requests: Rate
  gitBodyBytes: number
  /** More than the model door takes, which reads some of what is too much: the agent sees its refusal once it has sent that. */
  modelBodyBytes: number
}

const DOOR_LIMITS: DoorLimits = {
  connections: 256,
  headerBytes: 32 * 1024,
  headersMs: 15_000,
  idleMs: 15 * 60_000,
  requests: { perSecond: 100, burst: 500 },
  gitBodyBytes: GIT_BODY_BYTES,
  modelBodyBytes: 64 * 1024 ** 2,
}

export interface DoorOptions {
  sessionId: string
  socketPath: string
  routes: DoorRoutes
  limits?: Partial<DoorLimits>
  logger: Logger
}

export interface Door {
  sessionId: string
  socketPath: string
  runner: RunnerChannel
  /** Ends the listener and every connection. The socket's folder stays: it may be mounted in a sandbox. */
  close(): Promise<void>
}

/** Longest path of a unix socket on Linux. */
const MAX_SOCKET_PATH = 107

interface Context {
  sessionId: string
  server: Server
  routes: DoorRoutes
  limits: DoorLimits
  takeToken: TakeToken
  /** Of requests inside connections whose TLS is ended: many of them leave the door's own alone. */
  takeInside: TakeToken
  logger: Logger
}

export async function createDoor(options: DoorOptions): Promise<Door> {
  const { sessionId, socketPath, routes, logger } = options
  const limits = { ...DOOR_LIMITS, ...options.limits }
  const server = createServer({
    maxHeaderSize: limits.headerBytes,
    headersTimeout: limits.headersMs,
    // The body of a push may take its time; `timeout` ends those that stand still.
    requestTimeout: 0,
    connectionsCheckingInterval: Math.min(5_000, limits.headersMs),
    insecureHTTPParser: false,
    shouldUpgradeCallback: isUpgrade,
  })
  server.maxConnections = limits.connections
  server.timeout = limits.idleMs
  const bucket = () => createTokenBucket(limits.requests, () => performance.now())
  serve({ sessionId, server, routes, limits, takeToken: bucket(), takeInside: bucket(), logger })
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  await listen(server, socketPath)
  return {
    sessionId,
    socketPath,
    runner: routes.runner,
    async close() {
      routes.runner.close('door_closed')
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

function serve(context: Context): void {
  const { server, sessionId, routes, logger } = context
  const report = (error: unknown) => logger.error({ sessionId, err: error }, 'door: request failed')
  server.on('request', (request, response) => {
    onRequest(context, request, response).catch(report)
  })
  server.on('connect', (request, socket, head) => {
    freeFromIdleLimit(socket)
    if (context.takeToken() > 0) return refuseSocket(socket, 429)
    if (isDoorTunnel(request.url ?? '')) {
      // The bytes that follow are requests to this door: the same server reads on.
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n')
      if (head.length > 0) socket.unshift(head)
      server.emit('connection', socket)
      return
    }
    const { takeInside: takeToken } = context
    routes.egress.connect({ sessionId, request, socket, head, takeToken }).catch(report)
  })
  server.on('upgrade', (request, socket, head) => {
    freeFromIdleLimit(socket)
    if (context.takeToken() > 0) return refuseSocket(socket, 429)
    if (routeOf(request.url ?? '').kind === 'runner') routes.runner.accept(socket, head)
    else routes.egress.upgrade({ sessionId, request, socket, head }).catch(report)
  })
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (error.code === 'ECONNRESET' || !socket.writable) socket.destroy()
    else refuseSocket(socket, clientErrorStatus(error.code))
  })
}

async function onRequest(
  context: Context,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { sessionId, routes, limits } = context
  const waitMs = context.takeToken()
  if (waitMs > 0) {
    response.setHeader('retry-after', String(Math.ceil(waitMs / 1000)))
    return answerError(response, new AppError('rate_limited', 'too_many_requests', 'slow down'))
  }
  const route = routeOf(request.url ?? '')
  const call = { sessionId, request, response }
  switch (route.kind) {
    case 'egress':
      return routes.egress.request(call)
    case 'git':
      return callRoute(routes.git, limits.gitBodyBytes, { ...call, path: route.path })
    case 'model':
      return callRoute(routes.model, limits.modelBodyBytes, { ...call, path: route.path })
    case 'reach':
    case 'setup':
      return callRoute(routes[route.kind], 0, { ...call, path: route.path })
    case 'runner':
      return answerError(
        response,
        new AppError('invalid', 'upgrade_required', 'the runner upgrades'),
      )
    case 'none':
      return answerError(response, new AppError('not_found', 'no_such_door', 'nothing here'))
  }
}

function isUpgrade(request: IncomingMessage): boolean {
  const route = routeOf(request.url ?? '')
  if (route.kind === 'egress') return isWebSocketUpgrade(request)
  return isRunnerUpgrade(request.method ?? '', route, request.headers.upgrade)
}

/** Tunnels and the runner channel have limits of their own. */
function freeFromIdleLimit(socket: Duplex): void {
  if (socket instanceof Socket) socket.setTimeout(0)
}

/** For sockets that the server has let go of: nobody else hears that the client has hung up. */
function refuseSocket(socket: Duplex, status: number): void {
  socket.on('error', () => socket.destroy())
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`
  socket.end(`${head}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`)
  socket.resume()
  const timer = setTimeout(() => socket.destroy(), 1_000)
  socket.once('close', () => clearTimeout(timer))
}

function clientErrorStatus(code: string | undefined): number {
  if (code === 'HPE_HEADER_OVERFLOW') return 431
  return code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400
}

/** The sandbox's root is another user outside: it needs write permission to connect, and has none on the folder. */
async function listen(server: Server, socketPath: string): Promise<void> {
  if (Buffer.byteLength(socketPath) > MAX_SOCKET_PATH) {
    throw new AppError('invalid', 'socket_path_too_long', 'the runtime folder has too long a path')
  }
  const folder = dirname(socketPath)
  await mkdir(folder, { recursive: true })
  await chmod(folder, 0o755)
  await removeStale(socketPath)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(socketPath, () => {
      server.off('error', reject)
      resolve()
    })
  })
  await chmod(socketPath, 0o666)
}

async function removeStale(socketPath: string): Promise<void> {
  const stats = await lstat(socketPath).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null
    throw error
  })
  if (stats && !stats.isSocket()) {
    throw new AppError('conflict', 'socket_path_taken', 'something else lies where the socket goes')
  }
  if (stats) await rm(socketPath)
}
