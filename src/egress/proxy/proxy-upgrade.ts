// WebSocket over plain http:// through the proxy: the request goes out by hand, the answer decides whether bytes flow.
import { request as httpRequest, type IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { type Exchange, isRefusal, type OpenExchange, type ProxyCall } from './exchange.ts'
import { closeSignal } from './proxy-connect.ts'
import { headText, passOnHeaders, upstreamHeaders } from './proxy-headers.ts'
import { hostHeader } from './proxy-request.ts'
import { type ProxyTarget, parseAbsoluteTarget } from './proxy-target.ts'
import { answerOnSocket, badRequest, type Refusal } from './refusal.ts'
import { runTunnel } from './tunnel.ts'

const BROKEN: Refusal = {
  status: 502,
  reason: 'upstream_broken',
  denied: false,
  text: 'the host broke the exchange off\n',
}
const UPGRADE_HEADERS = ['Connection', 'Upgrade', 'Upgrade', 'websocket']

/** The door upgrades nothing else: `Upgrade: h2c` and the like are answered as if they had not been asked for. */
export function isWebSocketUpgrade(request: IncomingMessage): boolean {
  return request.method === 'GET' && request.headers.upgrade?.toLowerCase() === 'websocket'
}

export async function serveUpgrade(
  openExchange: OpenExchange,
  call: ProxyCall & { socket: Duplex; head: Buffer },
): Promise<void> {
  const { request, socket } = call
  socket.on('error', () => socket.destroy())
  const parsed = parseAbsoluteTarget(request.url ?? '')
  if ('reason' in parsed) return answerOnSocket(socket, badRequest(parsed.reason, parsed.message))
  if (hasBody(request)) {
    return answerOnSocket(socket, badRequest('ambiguous_length', 'an upgrade takes no body'))
  }
  const exchange = await openExchange(call, parsed.target, closeSignal(socket))
  if (isRefusal(exchange)) return answerOnSocket(socket, exchange)
  exchange.finish(await upgradeOn(exchange, parsed.target, call))
}

/** Asks the upstream server for the upgrade on the exchange's connection. Resolves when the conversation is over. */
export async function upgradeOn(
  exchange: Pick<Exchange, 'upstream' | 'limits' | 'dress'>,
  target: ProxyTarget,
  { request, socket, head }: Pick<ProxyCall, 'request'> & { socket: Duplex; head: Buffer },
): Promise<string | null> {
  const { upstream, limits } = exchange
  const { path, headers } = exchange.dress({
    headers: upstreamHeaders(request.rawHeaders, hostHeader(target)),
    path: target.path,
  })
  const outgoing = httpRequest({
    createConnection: () => upstream,
    method: 'GET',
    path,
    headers: [...headers, ...UPGRADE_HEADERS],
    maxHeaderSize: limits.headerBytes,
    insecureHTTPParser: false,
  })
  upstream.setTimeout(limits.idleMs, () => outgoing.destroy(new Error('idle')))
  socket.once('close', () => outgoing.destroy())
  return await converse(outgoing, exchange, { socket, head })
}

function converse(
  outgoing: ReturnType<typeof httpRequest>,
  { upstream, limits }: Pick<Exchange, 'upstream' | 'limits'>,
  { socket, head }: { socket: Duplex; head: Buffer },
): Promise<string | null> {
  return new Promise((resolve) => {
    outgoing.on('error', () => {
      if (!socket.destroyed) answerOnSocket(socket, BROKEN)
      resolve(BROKEN.reason)
    })
    outgoing.on('upgrade', (answer, _upstream, early: Buffer) => {
      const headers = [...passOnHeaders(answer.rawHeaders), ...UPGRADE_HEADERS]
      socket.write(headText(`HTTP/1.1 101 ${answer.statusMessage ?? ''}`, headers))
      if (early.length > 0) upstream.unshift(early)
      resolve(runTunnel({ client: socket, upstream, head, idleMs: limits.idleMs }))
    })
    outgoing.on('response', (answer) => {
      // Not upgraded: an ordinary answer, which ends with the connection.
      const headers = [...passOnHeaders(answer.rawHeaders), 'Connection', 'close']
      const line = `HTTP/1.1 ${answer.statusCode} ${answer.statusMessage ?? ''}`
      socket.write(headText(line, headers))
      answer.on('error', () => socket.destroy())
      answer.pipe(socket)
      socket.resume()
      socket.once('close', () => resolve(null))
      answer.once('close', () => resolve(null))
    })
    outgoing.end()
  })
}

export function hasBody(request: IncomingMessage): boolean {
  const length = request.headers['content-length']
  return (
    request.headers['transfer-encoding'] !== undefined || (length !== undefined && length !== '0')
  )
}
