// Requests with an http:// URL, and those inside a connection whose TLS is ended here: one upstream connection each, streamed
// both ways.
import {
  type ClientRequest,
  request as httpRequest,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http'
import { pipeline, type Readable, type Writable } from 'node:stream'
import { authorityText, hostText } from '../rules/hosts.ts'
import {
  type Exchange,
  isRefusal,
  type OpenExchange,
  type ProxyCall,
  type ProxyRules,
} from './exchange.ts'
import { closeSignal } from './proxy-connect.ts'
import { framingHeaders, passOnHeaders, upstreamHeaders } from './proxy-headers.ts'
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
  exchange.finish(await exchangeMessages(exchange, parsed.target, plainCall(call), rules))
}

/** The Host header for a target: without the port when it is the scheme's own. */
export function hostHeader({ host, port, scheme }: ProxyTarget): string {
  const withPort = authorityText(hostText(host), port)
  const usual = scheme === 'https' ? 443 : 80
  return port === usual ? withPort.slice(0, -`:${usual}`.length) : withPort
}

/** A request and where its answer goes, whatever version of HTTP they have. */
export interface MessageCall {
  method: string
  rawHeaders: readonly string[]
  /** How the body, if any, is framed towards the upstream server. */
  framing: readonly string[]
  body: Readable
  answer: {
    /** Throws what cannot be sent. */
    head(status: number, message: string, headers: string[]): void
    body: Writable
    refuse(refusal: Refusal): void
    /** Whether all of it went out. */
    isDone(): boolean
  }
}

export function plainCall({
  request,
  response,
}: Pick<ProxyCall, 'request'> & { response: ServerResponse }): MessageCall {
  return {
    method: request.method ?? 'GET',
    rawHeaders: request.rawHeaders,
    framing: framingHeaders(request),
    body: request,
    answer: {
      head: (status, message, headers) => void response.writeHead(status, message, headers),
      body: response,
      refuse: (refusal) => answerWith(response, refusal),
      isDone: () => response.writableFinished,
    },
  }
}

/** Resolves when the response is out or either side has gone; never rejects. */
export function exchangeMessages(
  exchange: Pick<Exchange, 'upstream' | 'limits' | 'dress'>,
  target: ProxyTarget,
  call: MessageCall,
  rules: Pick<ProxyRules, 'upstreamHeaders'> = { upstreamHeaders },
): Promise<string | null> {
  const { upstream, limits } = exchange
  const { body, answer, method } = call
  return new Promise((resolve) => {
    let isOver = false
    const done = (reason: string | null) => {
      isOver = true
      outgoing?.destroy()
      // An early answer is read by the client once it has sent the rest.
      if (outgoing) body.unpipe(outgoing)
      body.resume()
      resolve(reason)
    }
    const fail = (refusal: Refusal) => {
      if (isOver) return
      isOver = true
      answer.refuse(refusal)
      done(refusal.reason)
    }
    let outgoing: ClientRequest | undefined
    try {
      const { path, headers } = exchange.dress({
        headers: rules.upstreamHeaders(call.rawHeaders, hostHeader(target)),
        path: target.path,
      })
      outgoing = httpRequest({
        createConnection: () => upstream,
        ...{ method, path },
        headers: [...headers, ...call.framing, 'Connection', 'close'],
        maxHeaderSize: limits.headerBytes,
        insecureHTTPParser: false,
      })
    } catch {
      // Characters that the parser of either version lets in and node's writer does not let out.
      fail(badRequest('invalid_header', 'a header or the path holds what cannot be sent on'))
      return
    }
    upstream.setTimeout(limits.idleMs, () => fail(failure(504, 'upstream_timeout')))
    outgoing.on('error', () => fail(failure(502, 'upstream_broken')))
    outgoing.on('upgrade', () => fail(failure(502, 'upstream_broken')))
    outgoing.on('response', (message) => passAnswer(message, answer, { fail, done }))
    answer.body.on('close', () => done(answer.isDone() ? null : 'client_closed'))
    // Not `pipeline`: a server that answers before it has read everything must not take the client's connection along.
    body.on('error', () => outgoing?.destroy())
    body.on('aborted', () => {
      // A stream of HTTP/2 says so of both sides; the client's reset does not destroy it at once.
      if (isOver || body.destroyed) outgoing?.destroy()
      else done('client_closed')
    })
    body.pipe(outgoing)
  })
}

function passAnswer(
  message: IncomingMessage,
  answer: MessageCall['answer'],
  { fail, done }: { fail: (refusal: Refusal) => void; done: (reason: string | null) => void },
): void {
  try {
    const headers = passOnHeaders(message.rawHeaders)
    answer.head(message.statusCode ?? 502, message.statusMessage ?? '', headers)
  } catch {
    // Characters that node's parser lets in and its writer does not let out.
    fail(failure(502, 'upstream_broken'))
    return
  }
  // Before the client's side closes for it, which would look like the client's doing.
  message.on('error', () => done('upstream_broken'))
  pipeline(message, answer.body, (error) => done(error ? 'upstream_broken' : null))
}

function failure(status: number, reason: string): Refusal {
  const text =
    reason === 'upstream_timeout' ? 'the host went quiet' : 'the host broke the exchange off'
  return { status, reason, denied: false, text: `${text}\n` }
}
