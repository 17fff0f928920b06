// Header lists as a proxy passes them on: flat name, value, name, value … in the order and case that they came in. Pure.
import type { IncomingMessage } from 'node:http'

/** RFC 9110 section 7.6.1, and what older clients send to proxies. `Expect` was answered by our own server already. */
const HOP_BY_HOP = new Set([
  'connection',
  'expect',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/** Without hop-by-hop headers and those that `Connection` names. */
export function passOnHeaders(rawHeaders: readonly string[]): string[] {
  const named = new Set(connectionNames(rawHeaders))
  return filterHeaders(rawHeaders, (name) => !HOP_BY_HOP.has(name) && !named.has(name))
}

/** The request's headers for the upstream server; the Host is the one that was decided on, whatever the client wrote. */
export function upstreamHeaders(rawHeaders: readonly string[], authority: string): string[] {
  const passed = filterHeaders(passOnHeaders(rawHeaders), (name) => name !== 'host')
  return ['Host', authority, ...passed]
}

/** How the body, if any, is framed towards the upstream server. */
export function framingHeaders(request: IncomingMessage): string[] {
  if (request.headers['transfer-encoding'] !== undefined) return ['Transfer-Encoding', 'chunked']
  if (request.headers['content-length'] !== undefined) return []
  return ['POST', 'PUT', 'PATCH'].includes(request.method ?? '') ? ['Content-Length', '0'] : []
}

/** One message head as bytes. */
export function headText(firstLine: string, headers: readonly string[]): string {
  let text = `${firstLine}\r\n`
  for (let i = 0; i + 1 < headers.length; i += 2) text += `${headers[i]}: ${headers[i + 1]}\r\n`
  return `${text}\r\n`
}

function connectionNames(rawHeaders: readonly string[]): string[] {
  const names: string[] = []
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    if (rawHeaders[i]?.toLowerCase() !== 'connection') continue
    for (const name of (rawHeaders[i + 1] ?? '').split(',')) names.push(name.trim().toLowerCase())
  }
  // The length of the body is not for a client to take out.
  return names.filter((name) => name !== 'content-length')
}

function filterHeaders(headers: readonly string[], keep: (name: string) => boolean): string[] {
  const kept: string[] = []
  for (let i = 0; i + 1 < headers.length; i += 2) {
    if (keep((headers[i] ?? '').toLowerCase())) kept.push(headers[i] ?? '', headers[i + 1] ?? '')
  }
  return kept
}
