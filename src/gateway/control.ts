// The gateway's own socket, for the server: open and close doors, and follow the text that is being written.
import { chmod, mkdir, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { dirname } from 'node:path'
import { backoffMs } from '../lib/backoff.ts'
import { delay } from '../lib/deadline.ts'
import { createLineSplitter, encodeLine } from '../lib/ndjson.ts'
import { openUnix, requestUnix } from '../lib/unix-http.ts'
import { AppError, type ErrorBody, isErrorCode, toAppError } from '../protocol/errors.ts'
import { idPattern } from '../protocol/ids.ts'

export interface LiveDelta {
  sessionId: string
  turnId: string
  text: string
}

export interface Doorkeeper {
  open(sessionId: string, signal?: AbortSignal): Promise<void>
  close(sessionId: string, signal?: AbortSignal): Promise<void>
}

export interface ControlServer {
  /** To everyone who follows; one that reads too slowly misses some. */
  broadcast(delta: LiveDelta): void
  close(): Promise<void>
}

const MOST_UNSENT_BYTES = 1 << 20
const RECONNECT = { firstMs: 50, mostMs: 2_000 }

export async function startControl(
  socketPath: string,
  doorkeeper: Doorkeeper,
): Promise<ControlServer> {
  const followers = new Set<ServerResponse>()
  const server = createServer((request, response) => {
    answer(request, response, { doorkeeper, followers }).catch((error: unknown) => {
      const failure = toAppError(error)
      if (!response.headersSent)
        response.writeHead(failure.status, { 'content-type': 'application/json' })
      response.end(JSON.stringify(failure.toBody()))
    })
  })
  await mkdir(dirname(socketPath), { recursive: true })
  await rm(socketPath, { force: true })
  await listen(server, socketPath)
  await chmod(socketPath, 0o660)
  return {
    broadcast: (delta) => {
      const line = encodeLine(delta)
      for (const follower of followers) {
        if (follower.writableLength < MOST_UNSENT_BYTES) follower.write(line)
      }
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** The server's side: asks the gateway to open or close a door. */
export function createDoorkeeperClient(socketPath: string): Doorkeeper {
  const ask = async (method: 'PUT' | 'DELETE', sessionId: string, signal?: AbortSignal) => {
    const path = `/doors/${sessionId}`
    const { status, body } = await requestUnix(socketPath, { method, path, signal })
    if (status < 300) return
    const { code, reason, message } = (body as ErrorBody).error
    throw new AppError(isErrorCode(code) ? code : 'internal', reason, message)
  }
  return {
    open: (sessionId, signal) => ask('PUT', sessionId, signal),
    close: (sessionId, signal) => ask('DELETE', sessionId, signal),
  }
}

/** The server's side of the live text: calls back for each piece until the signal aborts; connects again when cut off. */
export async function followLive(
  socketPath: string,
  onDelta: (delta: LiveDelta) => void,
  signal: AbortSignal,
): Promise<void> {
  for (let attempt = 0; !signal.aborted; attempt++) {
    try {
      const response = await openUnix(socketPath, { method: 'GET', path: '/live', signal })
      attempt = 0
      const split = createLineSplitter(MOST_UNSENT_BYTES)
      for await (const chunk of response) for (const line of split(chunk)) onDelta(JSON.parse(line))
    } catch (error) {
      if (signal.aborted) return
      // Whatever the system refuses, the gateway that is away among it, may pass.
      if (!isSystemError(error)) throw error
    }
    await delay(backoffMs(RECONNECT, attempt, Math.random()), signal).catch(() => undefined)
  }
}

function isSystemError(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException
  return typeof code === 'string' && /^E[A-Z]+$/.test(code)
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  { doorkeeper, followers }: { doorkeeper: Doorkeeper; followers: Set<ServerResponse> },
): Promise<void> {
  const path = request.url ?? ''
  if (request.method === 'GET' && path === '/live') {
    response.writeHead(200, { 'content-type': 'application/x-ndjson' })
    response.flushHeaders()
    followers.add(response)
    response.on('close', () => followers.delete(response))
    return
  }
  const sessionId = path.startsWith('/doors/') ? path.slice('/doors/'.length) : ''
  if (!idPattern('session').test(sessionId)) {
    throw new AppError('not_found', 'route_not_found', 'The gateway has no such route.')
  }
  if (request.method === 'PUT') await doorkeeper.open(sessionId)
  else if (request.method === 'DELETE') await doorkeeper.close(sessionId)
  else throw new AppError('not_found', 'route_not_found', 'The gateway has no such route.')
  response.writeHead(204).end()
}

function listen(server: Server, socketPath: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(socketPath, () => resolve())
  })
}
