// A live stream through a WebSocket, for the page: of ordinary connections a browser opens six to one address for all its tabs
// together, and streams would use them up. The request goes through the app as any other, so that the same checks hold; a
// browser names the origin of the page in every handshake. What the app answers is passed on in binary messages. The page says
// nothing but that it closes. No protection: whoever may ask for the stream by an ordinary request may ask for it so.
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { type IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** Part of the protocol (RFC 6455). */
const ACCEPT_SUFFIX = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
const CLOSE_FRAME = Uint8Array.of(0x88, 0)
/** A stream speaks more often; a reader that takes nothing for so long is cut off. */
const STUCK_MS = 60_000

export function wantsWebSocket({ method, headers }: IncomingMessage): boolean {
  return method === 'GET' && headers.upgrade?.toLowerCase() === 'websocket'
}

export async function answerWebSocket(
  answer: (request: Request) => Response | Promise<Response>,
  incoming: IncomingMessage,
  socket: Socket,
): Promise<void> {
  const left = new AbortController()
  socket.on('error', () => undefined)
  socket.on('close', () => left.abort())
  socket.setTimeout(STUCK_MS, () => socket.destroy())
  try {
    const key = incoming.headers['sec-websocket-key']
    const response = await answer(toRequest(incoming, left.signal))
    const isStream = response.headers.get('content-type')?.startsWith('text/event-stream')
    if (key === undefined || !isStream) return await refuse(incoming, socket, response)
    socket.write(formatHandshake(key, response.headers))
    socket.on('data', () => left.abort())
    socket.on('end', () => left.abort())
    await passOn(response, socket, left.signal)
    socket.end(CLOSE_FRAME)
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

function formatHandshake(key: string, headers: Headers): string {
  const accept = createHash('sha1').update(`${key}${ACCEPT_SUFFIX}`).digest('base64')
  const lines = [
    'HTTP/1.1 101 Switching Protocols',
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Accept: ${accept}`,
    ...headers.getSetCookie().map((cookie) => `Set-Cookie: ${cookie}`),
  ]
  return `${lines.join('\r\n')}\r\n\r\n`
}

async function passOn(response: Response, socket: Socket, left: AbortSignal): Promise<void> {
  const reader = response.body?.getReader()
  const end = () => void reader?.cancel().catch(() => undefined)
  left.addEventListener('abort', end)
  try {
    for (let next = await reader?.read(); next && !next.done; next = await reader?.read()) {
      if (left.aborted) return
      socket.write(formatFrameHead(next.value.length))
      if (!socket.write(next.value)) await once(socket, 'drain', { signal: left })
    }
  } finally {
    end()
  }
}

function formatFrameHead(length: number): Buffer {
  if (length < 126) return Buffer.from([0x82, length])
  const head = Buffer.alloc(10)
  head[0] = 0x82
  if (length < 0x1_0000) {
    head[1] = 126
    head.writeUInt16BE(length, 2)
    return head.subarray(0, 4)
  }
  head[1] = 127
  head.writeBigUInt64BE(BigInt(length), 2)
  return head
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
