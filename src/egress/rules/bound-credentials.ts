// Which API credential goes with a request, and the request with it in place. Pure. The one that fits best is added, in place
// of whatever the client sent there; where the client sent the credential's placeholder, the secret stands in its place.
// What this does not protect against: a host that sends back what it was sent shows the secret to the sandbox.
import { type Credential, isApiKind } from '../../protocol/credential.ts'
import { KEY_PLACEHOLDER } from '../../protocol/network.ts'
import { parsePattern } from './hosts.ts'
import { fitsHost, hostRank, isBelow, plainPath } from './request-rules.ts'

export interface BoundCredential {
  id: string
  name: string
  kind: 'bearer' | 'header' | 'basic' | 'query'
  username: string
  secret: string
  hosts: readonly { host: string; below: boolean; port: number | null }[]
  paths: readonly string[]
  header: string
  prefix: string
  parameter: string
  variable: string | null
  allowHttp: boolean
  createdAt: string
  /** A host that it is never added to, whatever it is bound to. */
  except: string | null
}

/** One request on its way out. */
export interface OutgoingRequest {
  /** Flat: name, value, name, value … */
  headers: string[]
  /** In origin form. */
  path: string
}

interface Asked {
  scheme: 'http' | 'https'
  host: string
  port: number
  path: string
}

const DEFAULT_PORTS = { http: 80, https: 443 }

/** Undefined for a credential of git. */
export function toBound(
  credential: Credential & { secret: string },
  except: string | null,
): BoundCredential | undefined {
  const { id, host, kind, username, secret, binding, createdAt } = credential
  if (!isApiKind(kind) || !binding) return undefined
  const { paths, prefix, variable, allowHttp } = binding
  return {
    ...{ id, kind, username, secret, paths, variable, allowHttp, createdAt, except },
    name: binding.name || host,
    hosts: [host, ...binding.otherHosts]
      .flatMap((text) => parsePattern(text) ?? [])
      .filter((one) => one.below || one.host !== except),
    header: binding.header ?? 'Authorization',
    prefix: prefix === '' || prefix.endsWith(' ') ? prefix : `${prefix} `,
    parameter: binding.parameter ?? '',
  }
}

/** What stands in the variable inside; worth nothing there. */
export function placeholderOf({ id }: Pick<BoundCredential, 'id'>): string {
  return `${KEY_PLACEHOLDER}-${id}`
}

/** gh asks a host of one's own only where it is told which one that is. */
const NAMED_BY: Record<string, string> = {
  GH_ENTERPRISE_TOKEN: 'GH_HOST',
  GITHUB_ENTERPRISE_TOKEN: 'GH_HOST',
}

/** What is set inside for these credentials: placeholders, and to which host a token belongs where its program has to know. */
export function variablesFor(credentials: readonly BoundCredential[]): Record<string, string> {
  const variables = credentials.flatMap((one): [string, string][] => {
    if (one.variable === null) return []
    const named = NAMED_BY[one.variable]
    const at = one.hosts.find(
      ({ below, port }) => !below && (port === null || port === DEFAULT_PORTS.https),
    )
    const host: [string, string][] = named === undefined || !at ? [] : [[named, at.host]]
    return [[one.variable, placeholderOf(one)], ...host]
  })
  return Object.fromEntries(variables)
}

/** The ports at which a credential makes its hosts reachable. */
export function portsOf(
  { port }: BoundCredential['hosts'][number],
  { allowHttp }: Pick<BoundCredential, 'allowHttp'>,
): number[] {
  if (port !== null) return [port]
  return allowHttp ? [DEFAULT_PORTS.https, DEFAULT_PORTS.http] : [DEFAULT_PORTS.https]
}

/** The most specific one: by host, then by path, then the latest. */
export function pickCredential(
  credentials: readonly BoundCredential[],
  asked: Asked,
): BoundCredential | undefined {
  const plain = plainPath(asked.path)
  const ranked = credentials.flatMap((credential) => {
    const { hosts, paths, createdAt } = credential
    if (asked.scheme === 'http' && !credential.allowHttp) return []
    if (asked.host === credential.except) return []
    const fitting = hosts.filter(
      (one) => fitsHost(one, asked.host) && portsOf(one, credential).includes(asked.port),
    )
    const below = paths.filter((prefix) => plain !== null && isBelow(prefix, plain))
    if (fitting.length === 0 || (paths.length > 0 && below.length === 0)) return []
    const host = Math.max(...fitting.map(hostRank))
    return [
      { credential, host, path: Math.max(0, ...below.map(({ length }) => length)), createdAt },
    ]
  })
  ranked.sort((a, b) => b.host - a.host || b.path - a.path || (a.createdAt < b.createdAt ? 1 : -1))
  return ranked[0]?.credential
}

export function addCredential(
  request: OutgoingRequest,
  credential: BoundCredential,
): OutgoingRequest {
  const { kind, secret, username, parameter } = credential
  if (kind === 'query') {
    return {
      headers: replaceInAuthorization(request.headers, credential),
      path: withParameter(request.path, { parameter, secret }),
    }
  }
  const name = kind === 'header' ? credential.header : 'Authorization'
  const value =
    kind === 'header'
      ? `${credential.prefix}${secret}`
      : kind === 'bearer'
        ? `Bearer ${secret}`
        : `Basic ${base64(`${username}:${secret}`)}`
  const own = name.toLowerCase()
  const sent = valuesOf(request.headers, own).map((text) => replacePlaceholder(text, credential))
  const others = request.headers.filter((_, at) => nameAt(request.headers, at) !== own)
  const rest = own === 'authorization' ? others : replaceInAuthorization(others, credential)
  return { ...request, headers: [...rest, name, sent.find((text) => text !== null) ?? value] }
}

function replaceInAuthorization(headers: string[], credential: BoundCredential): string[] {
  return headers.map((text, at) =>
    at % 2 === 1 && nameAt(headers, at) === 'authorization'
      ? (replacePlaceholder(text, credential) ?? text)
      : text,
  )
}

/** Null when the placeholder is not in it, neither as it is nor as a password of `Basic`. */
function replacePlaceholder(text: string, credential: BoundCredential): string | null {
  const placeholder = placeholderOf(credential)
  if (text.includes(placeholder)) return text.replaceAll(placeholder, () => credential.secret)
  const [, encoded] = /^basic\s+([A-Za-z0-9+/=_-]+)$/i.exec(text.trim()) ?? []
  const plain = encoded === undefined ? '' : Buffer.from(encoded, 'base64').toString('utf8')
  if (!plain.includes(placeholder)) return null
  return `Basic ${base64(plain.replaceAll(placeholder, () => credential.secret))}`
}

function withParameter(
  path: string,
  { parameter, secret }: { parameter: string; secret: string },
): string {
  const at = path.indexOf('?')
  const pairs = at === -1 ? [] : path.slice(at + 1).split('&')
  const kept = pairs.filter(
    (pair) => pair !== '' && decode(pair.split('=', 1)[0] ?? '') !== parameter,
  )
  const added = `${encodeURIComponent(parameter)}=${encodeURIComponent(secret)}`
  return `${at === -1 ? path : path.slice(0, at)}?${[...kept, added].join('&')}`
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return text
  }
}

function valuesOf(headers: readonly string[], name: string): string[] {
  return headers.filter((_, at) => at % 2 === 1 && nameAt(headers, at) === name)
}

/** The name that belongs to an entry of a flat list. */
function nameAt(headers: readonly string[], at: number): string {
  return (headers[at - (at % 2)] ?? '').toLowerCase()
}

function base64(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64')
}
