// How the proxy says no: a status, a stable reason in a header, one line of text that says what to do.
import { type ServerResponse, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { type AppError, toAppError } from '../../protocol/errors.ts'
import { headText } from './proxy-headers.ts'

const DENY_HEADER = 'x-deny-reason'
const ERROR_HEADER = 'x-error-reason'

export interface Refusal {
  status: number
  reason: string
  /** Whether a rule said no, rather than the network. */
  denied: boolean
  text: string
  /** Seconds after which it may go. */
  retryAfterS?: number
}

/** What passes by itself: the same request may go later. */
const PASSING: ReadonlySet<string> = new Set([
  'too_many_connections',
  'rate_limited',
  'bytes_exhausted',
])

export function badRequest(reason: string, text: string): Refusal {
  return { status: 400, reason, denied: false, text: `${text}\n` }
}

export function deniedBecause(reason: string, text: string, retryAfterS?: number): Refusal {
  const status = PASSING.has(reason) ? 429 : 403
  return { status, reason, denied: true, text, ...(retryAfterS ? { retryAfterS } : {}) }
}

/** What dial.ts or the policy rejected with, as an answer. Anything unforeseen says nothing about our inside. */
export function refusalOf(error: unknown): Refusal {
  const appError = toAppError(error)
  const status = statusOf(appError)
  const foreseen = appError.code !== 'internal'
  return {
    status,
    reason: foreseen ? appError.reason : 'internal',
    denied: appError.code === 'forbidden',
    text: foreseen ? `${appError.message}\n` : 'the gateway could not do this\n',
  }
}

export function answerWith(response: ServerResponse, refusal: Refusal): void {
  if (response.headersSent || response.destroyed) {
    response.destroy()
    return
  }
  response.writeHead(refusal.status, refusalHeaders(refusal))
  response.end(refusal.text)
}

/** For sockets that node's server has let go of (CONNECT, upgrade). Reads on until the client has closed its side. */
export function answerOnSocket(socket: Duplex, refusal: Refusal): void {
  const line = `HTTP/1.1 ${refusal.status} ${STATUS_CODES[refusal.status] ?? ''}`
  socket.end(headText(line, Object.entries(refusalHeaders(refusal)).flat()) + refusal.text)
  socket.resume()
  const timer = setTimeout(() => socket.destroy(), 5_000)
  socket.once('close', () => clearTimeout(timer))
}

export function refusalHeaders(refusal: Refusal): Record<string, string> {
  return {
    [refusal.denied ? DENY_HEADER : ERROR_HEADER]: refusal.reason,
    'content-type': 'text/plain; charset=utf-8',
    'content-length': String(Buffer.byteLength(refusal.text)),
    connection: 'close',
    ...(refusal.retryAfterS ? { 'retry-after': String(refusal.retryAfterS) } : {}),
  }
}

function statusOf(error: AppError): number {
  if (error.code === 'unavailable') return 502
  return error.status
}
