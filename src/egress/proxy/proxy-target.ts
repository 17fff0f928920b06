// Reads what a proxy request asks for, strictly: one host and port, which the decision, the connection and the Host header
// then share. What two programs could read differently is refused. Pure.
import type { IncomingHttpHeaders } from 'node:http'
import { type Host, hostText, parseAuthority } from '../rules/hosts.ts'

export interface ProxyTarget {
  host: Host
  port: number
  /** The authority as written, for messages. */
  text: string
  /** Path and query in origin form; '' for CONNECT. */
  path: string
  /** `https` inside a connection whose TLS is ended here. */
  scheme: 'http' | 'https'
}

export type TargetResult = { target: ProxyTarget } | { reason: string; message: string }

/** `CONNECT host:port`: the port must be there. */
export function parseConnectTarget(url: string): TargetResult {
  const authority = parseAuthority(url)
  if (!authority || authority.port === null) {
    return bad(
      'invalid_target',
      'CONNECT takes one host and one port, as in CONNECT example.org:443',
    )
  }
  return {
    target: { host: authority.host, port: authority.port, text: url, path: '', scheme: 'http' },
  }
}

/** `http://host[:port]/path?query`, without user, fragment or anything that a URL parser would have to repair. */
export function parseAbsoluteTarget(url: string): TargetResult {
  const match = /^([a-z][a-z0-9+.-]*):\/\/([^/?#]*)([^#]*)$/i.exec(url)
  if (!match) return bad('invalid_target', 'not an absolute URL')
  const [, scheme = '', written = '', rest = ''] = match
  if (scheme.toLowerCase() !== 'http') {
    return bad('scheme_not_supported', `${scheme} URLs go through CONNECT`)
  }
  if (written.includes('@')) return bad('invalid_target', 'a user in the URL is not supported here')
  const authority = parseAuthority(written)
  if (!authority) return bad('invalid_target', 'the URL has no readable host')
  const path = rest.startsWith('/') ? rest : `/${rest}`
  return {
    target: {
      host: authority.host,
      port: authority.port ?? 80,
      text: written,
      path,
      scheme: 'http',
    },
  }
}

/**
 * What node's parser lets through and a server further on may read differently: a body with two lengths, a coding that is
 * not `chunked`. Null when the framing has one meaning.
 */
export function framingFault(headers: IncomingHttpHeaders): string | null {
  const coding = headers['transfer-encoding']
  if (coding === undefined) return null
  if (headers['content-length'] !== undefined) return 'ambiguous_length'
  return coding.trim().toLowerCase() === 'chunked' ? null : 'transfer_encoding_not_supported'
}

/** A request inside a connection to `host:port`: origin form, and the very authority that the connection was opened for. */
export function parseInnerTarget(
  connection: Pick<ProxyTarget, 'host' | 'port' | 'text' | 'scheme'>,
  { url, authorities }: { url: string; authorities: readonly string[] },
): TargetResult {
  if (!url.startsWith('/')) return bad('invalid_target', 'a path is asked for here, as in GET /')
  const [authority] = authorities.map(parseAuthority)
  const usual = connection.scheme === 'https' ? 443 : 80
  const isSame =
    authorities.length === 1 &&
    authority &&
    hostText(authority.host) === hostText(connection.host) &&
    (authority.port ?? usual) === connection.port
  if (!isSame) return bad('authority_mismatch', 'the Host differs from the host of the connection')
  return { target: { ...connection, path: url } }
}

function bad(reason: string, message: string): TargetResult {
  return { reason, message }
}
