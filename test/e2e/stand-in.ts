// The server on the other side of the transport tests: HTTP/1.1, HTTP/2 and WebSockets over TLS, and plain HTTP, all with the
// same answers. Each name has a certificate of the authority that the test gives it.
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createSecureServer } from 'node:http2'
import { type Duplex, Readable } from 'node:stream'
import { createSecureContext } from 'node:tls'
import type { LeafFor } from '../../src/egress/tls/authority.ts'

export interface StandIn {
  /** Protocol, method and path of each request, in the order they came. */
  seen: string[]
  close(): void
}

const PIECE = Buffer.alloc(1 << 16)
/** Bytes that a client may send before it is heard; the 64 KiB of HTTP/2 itself make uploads slow. */
const WINDOW = 1 << 20
/** RFC 6455, 1.3. */
const WEBSOCKET_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

/** Listens on 443 and 80 of the address. */
export async function createStandIn(address: string, leafFor: LeafFor): Promise<StandIn> {
  const seen: string[] = []
  const goes = new Map<string, () => void>()
  const answer = (request: IncomingMessage, response: ServerResponse) => {
    seen.push(`HTTP/${request.httpVersion} ${request.method} ${request.url}`)
    // A client that went away is told by what the test reads.
    response.on('error', () => undefined)
    answerRequest(request, response, goes)
  }
  const secure = createSecureServer({
    ...{ allowHTTP1: true, settings: { initialWindowSize: WINDOW } },
    SNICallback: (name, done) => {
      leafFor(name).then((leaf) => done(null, createSecureContext(leaf)), done)
    },
  })
  secure.on('request', (request, response) =>
    answer(request as unknown as IncomingMessage, response as unknown as ServerResponse),
  )
  secure.on('upgrade', echoFrames)
  secure.on('session', (session) => session.setLocalWindowSize(WINDOW))
  secure.on('sessionError', () => undefined)
  const plain = createServer(answer)
  for (const [server, port] of [[secure, 443] as const, [plain, 80] as const]) {
    server.listen(port, address)
    await once(server, 'listening')
  }
  return {
    seen,
    close: () => {
      secure.close()
      plain.close()
      plain.closeAllConnections()
    },
  }
}

function answerRequest(
  request: IncomingMessage,
  response: ServerResponse,
  goes: Map<string, () => void>,
): void {
  const { pathname } = new URL(request.url ?? '/', 'https://stand-in')
  const [, first = '', second = ''] = pathname.split('/')
  if (first === 'sink') countBody(request, response)
  else if (first === 'zeros') Readable.from(zeros(Number(second))).pipe(response)
  else if (first === 'hold') {
    // The rest comes when it is asked for, on another connection.
    goes.set(second, () => response.end('and the rest\n'))
    response.write('the beginning\n')
  } else if (pathname.endsWith('/info/refs')) {
    response.setHeader('content-type', 'application/x-git-upload-pack-advertisement')
    const line = `${'a'.repeat(40)} refs/heads/seen\0agent=stand-in\n`
    response.end(`${packet('# service=git-upload-pack\n')}0000${packet(line)}0000`)
  } else {
    if (first === 'go') goes.get(second)?.()
    // Versions of a Go module, for who asks for them; a word for everybody else.
    response.end(pathname.endsWith('/@v/list') ? 'v1.2.3\n' : 'hello\n')
  }
}

function countBody(request: IncomingMessage, response: ServerResponse): void {
  let bytes = 0
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length
  })
  request.on('end', () => response.end(`took ${bytes}\n`))
}

function* zeros(bytes: number): Generator<Buffer> {
  for (let left = bytes; left > 0; left -= PIECE.length)
    yield PIECE.subarray(0, Math.min(left, PIECE.length))
}

/** A line of git's protocol, with its length before it. */
function packet(line: string): string {
  return (line.length + 4).toString(16).padStart(4, '0') + line
}

/** Short masked frames in, the same unmasked out; a frame that closes is answered and ends it. */
function echoFrames(request: IncomingMessage, socket: Duplex): void {
  const key = request.headers['sec-websocket-key'] ?? ''
  const accept = createHash('sha1').update(`${key}${WEBSOCKET_GUID}`).digest('base64')
  socket.write(
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
      `Sec-WebSocket-Accept: ${accept}\r\n\r\n`,
  )
  socket.on('error', () => undefined)
  socket.on('data', (frame: Buffer) => {
    const length = (frame[1] ?? 0) & 0x7f
    const mask = frame.subarray(2, 6)
    const text = frame.subarray(6, 6 + length).map((byte, index) => byte ^ (mask[index % 4] ?? 0))
    socket.write(Buffer.concat([Buffer.from([frame[0] ?? 0, length]), text]))
    if (((frame[0] ?? 0) & 0x0f) === 8) socket.end()
  })
}
