// Reads a host as a URL or CONNECT line gives it, in one canonical form. Pure. Everything that some resolver would take for
// an address (2130706433, 0x7f.1, 127.1, full-width digits, ::ffff:7f00:1) comes out as the address that it stands for.
import { isIPv4, isIPv6 } from 'node:net'
import { domainToASCII } from 'node:url'

export type Host =
  | { kind: 'name'; name: string }
  | { kind: 'address'; address: string }
  | { kind: 'invalid' }

export interface Authority {
  host: Host
  port: number | null
}

const INVALID: Host = { kind: 'invalid' }
const MAX_NAME = 253
/** A label of a host name; underscores occur in real names, hyphens not at either end. */
const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/
/** Characters that mean something in a URL or to a resolver, but never in a host name. */
const FORBIDDEN = /[\s%@/\\?#:|<>^`{}"'[\],;!$&()*+=~\p{Cc}]/u

export function parseHost(text: string): Host {
  if (text.length > 4 * MAX_NAME) return INVALID
  const bracketed = text.startsWith('[') && text.endsWith(']')
  const literal = bracketed ? text.slice(1, -1) : text
  if (isIPv6(literal) && !literal.includes('%')) {
    return { kind: 'address', address: canonicalIPv6(literal) }
  }
  if (bracketed || FORBIDDEN.test(text)) return INVALID
  const ascii = withoutTrailingDot(domainToASCII(text).toLowerCase())
  if (isIPv4(ascii)) return { kind: 'address', address: ascii }
  const labels = ascii.split('.')
  if (ascii.length > MAX_NAME || !labels.every((label) => LABEL.test(label))) return INVALID
  return { kind: 'name', name: ascii }
}

/** `host`, `host:port`, `[v6]` or `[v6]:port`; null when it is none of them. */
export function parseAuthority(text: string): Authority | null {
  const match = /^(\[[^\]]*\]|[^:[\]]*)(?::(\d{1,5}))?$/.exec(text)
  if (!match?.[1]) return null
  const port = match[2] === undefined ? null : Number(match[2])
  if (port !== null && (port < 1 || port > 65_535)) return null
  return { host: parseHost(match[1]), port }
}

/** `example.org`, `*.example.org`, either with `:port`. Null for what is no pattern: it then matches nothing. */
export function parsePattern(
  text: string,
): { host: string; below: boolean; port: number | null } | null {
  const below = text.startsWith('*.')
  const plain = below ? text.slice(2) : text
  const authority = parseAuthority(plain) ?? { host: parseHost(plain), port: null }
  if (authority.host.kind === 'name')
    return { host: authority.host.name, below, port: authority.port }
  if (authority.host.kind === 'address' && !below) {
    return { host: authority.host.address, below, port: authority.port }
  }
  return null
}

/** The host as it stands in a Host header, a log line or an event. */
export function hostText(host: Host): string {
  if (host.kind === 'name') return host.name
  return host.kind === 'address' ? host.address : ''
}

/** `host:port` with the brackets that an IPv6 address needs. */
export function authorityText(host: string, port: number): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`
}

function canonicalIPv6(address: string): string {
  return new URL(`http://[${address}]/`).hostname.slice(1, -1)
}

function withoutTrailingDot(name: string): string {
  return name.endsWith('.') ? name.slice(0, -1) : name
}
