// Requests with an http:// URL: one upstream connection each, streamed both ways.
import { request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import { pipeline } from 'node:stream'
import {
  type Exchange,
  isRefusal,
  type OpenExchange,
  type ProxyCall,
  type ProxyRules,
} from './exchange.ts'
import { authorityText, hostText } from './hosts.ts'
import { closeSignal } from './proxy-connect.ts'
import { framingHeaders, passOnHeaders } from './proxy-headers.ts'
import { type ProxyTarget, parseAbsoluteTarget } from './proxy-target.ts'
import { answerWith, badRequest, type Refusal } from './refusal.ts'

export async function serveRequest(
  openExchange: OpenExchange,
  call: ProxyCall & { response: ServerResponse },
  rules: ProxyRules,
): Promise<void> {
  const { request, response } = call
  const parsed = parseAbsoluteTarget(request.url ?? '')
  if ('reason' in parsed) return answerWith(response, badRequest(parsed.reason, parsed.message))
  const fault = rules.framingFault(request.headers)
  if (fault) return answerWith(response, badRequest(fault, 'the length of the body is ambiguous'))
  const exchange = await openExchange(call, parsed.target, closeSignal(response))
  if (isRefusal(exchange)) return answerWith(response, exchange)
  exchange.finish(await exchangeMessages(exchange, parsed.target, { ...call, rules }))
}

/** The Host header for a target: without the port when it is the scheme's own. */
export function hostHeader({ host, port }: ProxyTarget): string {
  const withPort = authorityText(hostText(host), port)
  return port === 80 ? withPort.slice(0, -3) : withPort
}

/** Resolves when the response is out or either side has gone; never rejects. */
function exchangeMessages(
  exchange: Exchange,
  target: ProxyTarget,
  { request, response, rules }: ProxyCall & { response: ServerResponse; rules: ProxyRules },
): Promise<string | null> {
  const { upstream, limits } = exchange
  return new Promise((resolve) => {
    let isOver = false
    const done = (reason: string | null) => {
      isOver = true
      outgoing.destroy()
      resolve(reason)
    }
    const fail = (refusal: Refusal) => {
      if (isOver) return
      answerWith(response, refusal)
      done(refusal.reason)
    }
    const outgoing = httpRequest({
      createConnection: () => upstream,
      method: request.method ?? 'GET',
      path: target.path,
      headers: [
        ...rules.upstreamHeaders(request, hostHeader(target)),
        ...framingHeaders(request),
        'Connection',
        'close',
      ],
      maxHeaderSize: limits.headerBytes,
      insecureHTTPParser: false,
    })
    upstream.setTimeout(limits.idleMs, () => fail(failure(504, 'upstream_timeout')))
    outgoing.on('error', () => fail(failure(502, 'upstream_broken')))
    outgoing.on('upgrade', () => fail(failure(502, 'upstream_broken')))
    outgoing.on('response', (answer) => passAnswer(answer, response, { fail, done }))
    response.on('close', () => done(response.writableFinished ? null : 'client_closed'))
    // Errors of either side are seen above; a request that broke off ends its upstream request with it.
    pipeline(request, outgoing, () => undefined)
  })
}

function passAnswer(
  answer: IncomingMessage,
  response: ServerResponse,
  { fail, done }: { fail: (refusal: Refusal) => void; done: (reason: string | null) => void },
): void {
  try {
    const headers = passOnHeaders(answer.rawHeaders)
    response.writeHead(answer.statusCode ?? 502, answer.statusMessage ?? '', headers)
  } catch {
    // Characters that node's parser lets in and its writer does not let out.
    fail(failure(502, 'upstream_broken'))
    return
  }
  pipeline(answer, response, (error) => done(error ? 'upstream_broken' : null))
}

function failure(status: number, reason: string): Refusal {
  const text =
    reason === 'upstream_timeout' ? 'the host went quiet' : 'the host broke the exchange off'
  return { status, reason, denied: false, text: `${text}\n` }
}
