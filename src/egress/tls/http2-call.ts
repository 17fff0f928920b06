// One request of HTTP/2 as a call that goes out in HTTP/1.1: pseudo-headers apart, cookies joined, and the answer's headers in
// the form that HTTP/2 has.
import type { OutgoingHttpHeaders, ServerHttp2Stream } from 'node:http2'
import type { MessageCall } from '../proxy/proxy-request.ts'
import { type Refusal, refusalHeaders } from '../proxy/refusal.ts'

export interface StreamCall {
  call: MessageCall
  method: string
  /** `:path`. */
  url: string
  /** `:authority`, and `Host` where it is given. */
  authorities: string[]
}

export function streamCall(stream: ServerHttp2Stream, rawHeaders: readonly string[]): StreamCall {
  const pseudo = new Map<string, string>()
  const plain: string[] = []
  const cookies: string[] = []
  const hosts: string[] = []
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const [name = '', value = ''] = [rawHeaders[at], rawHeaders[at + 1]]
    if (name.startsWith(':')) pseudo.set(name, value)
    else if (name === 'host') hosts.push(value)
    // RFC 9113 section 8.2.3: in several pieces there, in one here.
    else if (name === 'cookie') cookies.push(value)
    else plain.push(name, value)
  }
  const authority = pseudo.get(':authority')
  const method = pseudo.get(':method') ?? 'GET'
  return {
    method,
    url: pseudo.get(':path') ?? '',
    authorities: [...new Set([...(authority === undefined ? [] : [authority]), ...hosts])],
    call: {
      method,
      rawHeaders: cookies.length === 0 ? plain : [...plain, 'cookie', cookies.join('; ')],
      framing: framingOf(stream, plain),
      body: stream,
      answer: answerOn(stream, method),
    },
  }
}

function framingOf(stream: ServerHttp2Stream, headers: readonly string[]): string[] {
  if (headers.some((name, at) => at % 2 === 0 && name === 'content-length')) return []
  return stream.endAfterHeaders ? ['Content-Length', '0'] : ['Transfer-Encoding', 'chunked']
}

function answerOn(stream: ServerHttp2Stream, method: string): MessageCall['answer'] {
  return {
    head: (status, _message, headers) => {
      const isEmpty = method === 'HEAD' || status === 204 || status === 304
      stream.respond({ ':status': status, ...joinHeaders(headers) }, { endStream: isEmpty })
    },
    body: stream,
    refuse: (refusal) => refuse(stream, refusal),
    isDone: () => stream.writableFinished,
  }
}

function refuse(stream: ServerHttp2Stream, refusal: Refusal): void {
  // One that the client has reset takes no answer, and stays as long as something of its body is not read.
  if (stream.destroyed || stream.closed) return
  if (stream.headersSent) {
    // Closed without an error, what has gone out would look whole.
    stream.destroy(new Error(refusal.reason))
    return
  }
  const { connection: _, ...headers } = refusalHeaders(refusal)
  stream.respond({ ':status': refusal.status, ...headers })
  stream.end(refusal.text)
}

/** Values of one name in a list: cookies stay apart, others are joined as RFC 9110 section 5.3 allows. */
function joinHeaders(headers: readonly string[]): OutgoingHttpHeaders {
  const joined: Record<string, string | string[]> = {}
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const name = (headers[at] ?? '').toLowerCase()
    const value = headers[at + 1] ?? ''
    const before = joined[name]
    if (name === 'set-cookie') joined[name] = [...(before ?? []), value].flat()
    else joined[name] = before === undefined ? value : `${before}, ${value}`
  }
  return joined
}
