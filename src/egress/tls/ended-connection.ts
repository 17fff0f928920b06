// A client's connection whose TLS is ended here: a certificate of this installation's authority inside, HTTP/1.1 or HTTP/2 by
// the client's choice, and each request of it handed on by itself. A client that speaks no TLS on it is read as plain HTTP.
// Who asks by TLS must ask for the name that the connection was opened for.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { performServerHandshake, type ServerHttp2Stream } from 'node:http2'
import type { Duplex } from 'node:stream'
import { createServer as createTlsServer, type TLSSocket } from 'node:tls'
import type { TakeToken } from '../../lib/token-bucket.ts'
import { judgeGreeting } from '../proxy/proxy-connect.ts'
import { isWebSocketUpgrade } from '../proxy/proxy-upgrade.ts'
import { greetingOf, UNRECOGNIZED_NAME } from '../proxy/tunnel.ts'
import { type Host, hostText } from '../rules/hosts.ts'
import type { Leaf, LeafFor } from './authority.ts'

/** The one host and port that all of a connection's requests are for. */
export interface EndedConnection {
  sessionId: string
  host: Host
  port: number
  text: string
  scheme: 'http' | 'https'
  /** Some of its requests are answered by `OwnPaths`, which speak HTTP/1.1. */
  isOwn: boolean
  /** Each request takes one. */
  takeToken?: TakeToken | undefined
}

export interface EndedReceiver {
  request(
    connection: EndedConnection,
    call: { request: IncomingMessage; response: ServerResponse },
  ): void
  upgrade(
    connection: EndedConnection,
    call: { request: IncomingMessage; socket: Duplex; head: Buffer },
  ): void
  stream(connection: EndedConnection, stream: ServerHttp2Stream, rawHeaders: string[]): void
}

export interface EndedLimits {
  idleMs: number
  headerBytes: number
}

/** Resolves with the reason of a refusal, or null once the connection is being served. */
export type EndConnection = (
  client: Duplex,
  connection: Omit<EndedConnection, 'scheme'>,
) => Promise<string | null>

const KEEP_ALIVE_MS = 60_000
const HANDSHAKE_MS = 15_000
const MOST_STREAMS = 100
/** A connection idles longer than the exchanges in it, of which each ends by itself and says why. */
const IDLE_GRACE_MS = 1_000
/**
 * Bytes of request bodies that a connection may send ahead. With the 64 KiB of HTTP/2 itself an upload waits for the way back most
 * of the time; many times this much is what a sandbox may make the gateway hold.
 */
const WINDOW_BYTES = 256 * 1024

export function createEndConnection(
  leafFor: LeafFor,
  receiver: EndedReceiver,
  limits: EndedLimits,
): EndConnection {
  const serve = createHttp1(receiver, limits)
  return async (client, connection) => {
    const idle = setTimeout(() => client.destroy(), HANDSHAKE_MS)
    const greeting = await greetingOf(client).finally(() => clearTimeout(idle))
    if (client.destroyed || greeting === null) {
      client.destroy()
      return null
    }
    const refused = judgeGreeting(greeting, connection.host)
    if (refused) {
      client.end(UNRECOGNIZED_NAME)
      return refused
    }
    if (greeting.kind !== 'hello') {
      serve(client, { ...connection, scheme: 'http' })
      return null
    }
    const whole = { ...connection, scheme: 'https' as const }
    const leaf = await leafFor(hostText(connection.host))
    shakeHands(client, { leaf, isOwn: connection.isOwn }, (tls) => {
      if (tls.alpnProtocol === 'h2') serveHttp2(tls, whole, { receiver, limits })
      else serve(tls, whole)
    })
    return null
  }
}

/** A server of this one connection. `onSecure` takes over at once: bytes may have come with the end of the handshake. */
function shakeHands(
  client: Duplex,
  { leaf, isOwn }: { leaf: Leaf; isOwn: boolean },
  onSecure: (tls: TLSSocket) => void,
): void {
  const server = createTlsServer({
    ...leaf,
    ALPNProtocols: isOwn ? ['http/1.1'] : ['h2', 'http/1.1'],
    handshakeTimeout: HANDSHAKE_MS,
  })
  server.on('tlsClientError', () => client.destroy())
  server.on('secureConnection', (tls) => {
    tls.on('error', () => tls.destroy())
    tls.once('close', () => client.destroy())
    onSecure(tls)
  })
  server.emit('connection', client)
}

function createHttp1(receiver: EndedReceiver, { idleMs, headerBytes }: EndedLimits) {
  const connections = new WeakMap<Duplex, EndedConnection>()
  const server = createServer({
    maxHeaderSize: headerBytes,
    keepAliveTimeout: KEEP_ALIVE_MS,
    requestTimeout: 0,
    insecureHTTPParser: false,
    shouldUpgradeCallback: isWebSocketUpgrade,
  })
  server.timeout = idleMs + IDLE_GRACE_MS
  const find = (socket: Duplex) => {
    const connection = connections.get(socket)
    if (!connection) socket.destroy()
    return connection
  }
  server.on('request', (request, response) => {
    const connection = find(request.socket)
    if (connection) receiver.request(connection, { request, response })
  })
  server.on('upgrade', (request, socket, head) => {
    const connection = find(request.socket)
    if (connection) receiver.upgrade(connection, { request, socket, head })
  })
  return (socket: Duplex, connection: EndedConnection) => {
    connections.set(socket, connection)
    server.emit('connection', socket)
    // It was held while its first bytes were looked at.
    socket.resume()
  }
}

function serveHttp2(
  tls: TLSSocket,
  connection: EndedConnection,
  { receiver, limits }: { receiver: EndedReceiver; limits: EndedLimits },
): void {
  const session = performServerHandshake(tls, {
    settings: {
      ...{ maxConcurrentStreams: MOST_STREAMS, maxHeaderListSize: limits.headerBytes },
      initialWindowSize: WINDOW_BYTES,
    },
    maxSessionInvalidFrames: 100,
  })
  session.setLocalWindowSize(WINDOW_BYTES)
  let openStreams = 0
  session.setTimeout(limits.idleMs + IDLE_GRACE_MS, () => {
    // Without an error, streams that are cut off would look whole.
    session.destroy(openStreams > 0 ? new Error('idle') : undefined)
  })
  session.on('error', () => session.destroy())
  session.on('stream', (stream, _headers, _flags, rawHeaders) => {
    openStreams++
    stream.once('close', () => openStreams--)
    stream.on('error', () => undefined)
    receiver.stream(connection, stream, rawHeaders as unknown as string[])
  })
}
