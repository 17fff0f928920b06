// The requests inside connections whose TLS is ended here: each is judged by method and path, gets its credential, and goes
// out over verified TLS on a connection of its own. Own paths (the session's repository) are answered inside and never go out.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type CalledBy, type Exchange, isRefusal, type OpenExchange } from '../proxy/exchange.ts'
import { closeSignal } from '../proxy/proxy-connect.ts'
import { exchangeMessages, type MessageCall, plainCall } from '../proxy/proxy-request.ts'
import { framingFault, type ProxyTarget, parseInnerTarget } from '../proxy/proxy-target.ts'
import { hasBody, upgradeOn } from '../proxy/proxy-upgrade.ts'
import {
  answerOnSocket,
  badRequest,
  deniedBecause,
  type Refusal,
  refusalOf,
} from '../proxy/refusal.ts'
import { hostText } from '../rules/hosts.ts'
import type { OwnPathsAt } from '../rules/own-paths.ts'
import type { EndedConnection, EndedReceiver } from './ended-connection.ts'
import { streamCall } from './http2-call.ts'
import type { SecureUpstream } from './upstream-tls.ts'

export interface EndedDeps {
  openExchange: OpenExchange
  secure: SecureUpstream
  ownPathsAt?: OwnPathsAt | undefined
}

export function createEndedReceiver(deps: EndedDeps): EndedReceiver {
  return {
    request: (connection, { request, response }) => {
      const authorities = valuesOf(request.rawHeaders, 'host')
      const call = plainCall({ request, response })
      const target = readTarget(connection, { url: request.url ?? '', authorities, request })
      if ('reason' in target) return call.answer.refuse(target)
      const signal = closeSignal(response)
      const elsewhere = () => serve(deps, { connection, target, call, request, signal })
      if (connection.isOwn)
        serveOwn(deps, connection, { request, response, target, elsewhere }).catch(() =>
          response.destroy(),
        )
      else void elsewhere()
    },
    stream: (connection, stream, rawHeaders) => {
      const { call, url, authorities, method } = streamCall(stream, rawHeaders)
      const target = readTarget(connection, { url, authorities })
      if ('reason' in target) return call.answer.refuse(target)
      const signal = closeSignal(stream)
      void serve(deps, { connection, target, call, request: { method }, signal })
    },
    upgrade: (connection, call) => void serveUpgrade(deps, connection, call),
  }
}

async function serveOwn(
  { ownPathsAt }: EndedDeps,
  { sessionId, host, port }: EndedConnection,
  {
    request,
    response,
    target: { path },
    elsewhere,
  }: {
    request: IncomingMessage
    response: ServerResponse
    target: ProxyTarget
    elsewhere: () => Promise<void>
  },
): Promise<void> {
  const own = await ownPathsAt?.(sessionId, { host: hostText(host), port })
  await (own?.takes(path) ? own.serve({ sessionId, request, response, path }) : elsewhere())
}

function readTarget(
  connection: EndedConnection,
  asked: { url: string; authorities: string[]; request?: IncomingMessage },
): ProxyTarget | Refusal {
  const waitMs = connection.takeToken?.() ?? 0
  if (waitMs > 0) return tooMany(waitMs)
  const fault = asked.request && framingFault(asked.request.headers)
  if (fault) return badRequest(fault, 'the length of the body is ambiguous')
  const parsed = parseInnerTarget(connection, asked)
  if ('target' in parsed) return parsed.target
  // 421: this connection is for another host.
  const status = parsed.reason === 'authority_mismatch' ? 421 : 400
  return { ...badRequest(parsed.reason, parsed.message), status }
}

function tooMany(waitMs: number): Refusal {
  const busy = badRequest('too_many_requests', 'this session asks faster than it may: slow down')
  return { ...busy, status: 429, retryAfterS: Math.ceil(waitMs / 1000) }
}

interface Serving {
  connection: EndedConnection
  target: ProxyTarget
  request: CalledBy['request']
  signal: AbortSignal
}

async function serve(deps: EndedDeps, serving: Serving & { call: MessageCall }): Promise<void> {
  const { target, call } = serving
  const exchange = await open(deps, serving)
  if ('status' in exchange) return call.answer.refuse(exchange)
  exchange.finish(await exchangeMessages(exchange, target, call))
}

async function serveUpgrade(
  deps: EndedDeps,
  connection: EndedConnection,
  call: Parameters<EndedReceiver['upgrade']>[1],
): Promise<void> {
  const { request, socket } = call
  socket.on('error', () => socket.destroy())
  const authorities = valuesOf(request.rawHeaders, 'host')
  const target = readTarget(connection, { url: request.url ?? '', authorities })
  if ('reason' in target) return answerOnSocket(socket, target)
  if (hasBody(request))
    return answerOnSocket(socket, badRequest('ambiguous_length', 'an upgrade takes no body'))
  const exchange = await open(deps, { connection, target, request, signal: closeSignal(socket) })
  if ('status' in exchange) return answerOnSocket(socket, exchange)
  exchange.finish(await upgradeOn(exchange, target, call))
}

/** Decided, connected and, for https, verified; what it answers instead has been reported. */
async function open(
  { openExchange, secure }: EndedDeps,
  { connection: { sessionId, scheme }, target, request, signal }: Serving,
): Promise<Exchange | Refusal> {
  const exchange = await openExchange({ sessionId, request }, target, signal)
  if (isRefusal(exchange)) {
    const { reason, text, retryAfterS } = exchange
    return exchange.denied ? deniedBecause(reason, text, retryAfterS) : exchange
  }
  if (scheme === 'http') return exchange
  try {
    const upstream = await secure(exchange.upstream, hostText(target.host), signal)
    return { ...exchange, upstream }
  } catch (error) {
    const refusal = refusalOf(error)
    exchange.finish(refusal.reason)
    return refusal
  }
}

function valuesOf(rawHeaders: readonly string[], name: string): string[] {
  return rawHeaders.filter(
    (_, at) => at % 2 === 1 && (rawHeaders[at - 1] ?? '').toLowerCase() === name,
  )
}
