// A live stream through a WebSocket, for the page: of ordinary connections a browser opens six to one address for all its tabs
// together, and streams would use them up. The request goes through the app as any other, so that the same checks hold; a
// browser names the origin of the page in every handshake. What the app answers is passed on in binary messages. The page says
// nothing but that it closes. No protection: whoever may ask for the stream by an ordinary request may ask for it so.
import { type IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ReadableStream } from 'node:stream/web'
import { createWebSocketStream, type WebSocket, WebSocketServer } from 'ws'

/** A stream speaks more often; a reader that takes nothing for so long is cut off. */
const STUCK_MS = 60_000
const MOST_SAID_BYTES = 1024

const sockets = new WebSocketServer({
  ...{ noServer: true, clientTracking: false, perMessageDeflate: false },
  maxPayload: MOST_SAID_BYTES,
})
/** What renews the sign-in of who asks. */
const cookies = new WeakMap<IncomingMessage, string[]>()
sockets.on('headers', (lines, incoming) => {
  for (const cookie of cookies.get(incoming) ?? []) lines.push(`Set-Cookie: ${cookie}`)
})

export function wantsWebSocket({ method, headers }: IncomingMessage): boolean {
  return method === 'GET' && headers.upgrade?.toLowerCase() === 'websocket'
}

export async function answerWebSocket(
  answer: (request: Request) => Response | Promise<Response>,
  { incoming, socket, head }: { incoming: IncomingMessage; socket: Socket; head: Buffer },
  stuckMs = STUCK_MS,
): Promise<void> {
  const left = new AbortController()
  socket.on('error', () => undefined)
  socket.on('close', () => left.abort())
  socket.setTimeout(stuckMs, () => socket.destroy())
  try {
    const response = await answer(toRequest(incoming, left.signal))
    if (!response.headers.get('content-type')?.startsWith('text/event-stream'))
      return await refuse(incoming, socket, response)
    cookies.set(incoming, response.headers.getSetCookie())
    sockets.handleUpgrade(incoming, socket, head, (opened) => {
      // It has taken that away.
      socket.setTimeout(stuckMs)
      void passOn(response, opened, left)
    })
  } catch {
    socket.destroy()
  }
}

function toRequest({ url = '/', headers }: IncomingMessage, signal: AbortSignal): Request {
  const passed = new Headers({ accept: 'text/event-stream' })
  for (const name of ['host', 'origin', 'cookie', 'authorization', 'sec-fetch-site'] as const) {
    const value = headers[name]
    if (typeof value === 'string') passed.set(name, value)
  }
  // `Request` of Node keeps `host`. The path stays below it, whatever it begins with.
  return new Request(`http://${headers.host ?? 'localhost'}${url}`, { headers: passed, signal })
}

async function passOn(response: Response, socket: WebSocket, left: AbortController) {
  socket.on('message', () => socket.close())
  const stream = Readable.fromWeb(response.body as ReadableStream<Uint8Array>)
  // It ends, and does not fail, when the page has closed.
  await pipeline(stream, createWebSocketStream(socket)).catch(() => undefined)
  left.abort()
  socket.close()
}

async function refuse(incoming: IncomingMessage, socket: Socket, response: Response) {
  const outgoing = new ServerResponse(incoming)
  outgoing.shouldKeepAlive = false
  outgoing.assignSocket(socket)
  const status = response.ok ? 400 : response.status
  const body = response.ok ? '' : await response.text()
  if (response.ok) await response.body?.cancel()
  outgoing.writeHead(status, Object.fromEntries(response.headers)).end(body, () => socket.end())
}
