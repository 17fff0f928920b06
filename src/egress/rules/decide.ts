// Whether a session may reach a host and a port, before any name is looked up. Pure; deny by default.
// What this does not protect against: an allowed host is a way out. Object stores, code hosts and anything that takes uploads
// under an allowed name can be written to, a CDN may serve other tenants to who asks for them inside TLS, and at `full` there
// is no list at all. The lists narrow where data can go; secrets must not be inside in the first place.
import { portsOf } from './bound-credentials.ts'
import { type Host, hostText } from './hosts.ts'
import type { EgressRules, HostEntry, HostList } from './policy.ts'
import { fitsHost, isBelow, judgeRequest, plainPath, requestRulesFor } from './request-rules.ts'

type HostDenial =
  | 'invalid_host'
  | 'level_none'
  | 'denied_by_installation'
  | 'address_not_allowed'
  | 'host_not_allowed'
  | 'port_not_allowed'

type RequestDenial = 'method_not_allowed' | 'path_not_allowed'

export type HostDecision = { allow: true } | { allow: false; reason: HostDenial }

const ALLOWED: HostDecision = { allow: true }

/**
 * Addresses are refused at every level unless the address itself is listed: at `custom` among the domains, at `full` among
 * the installation's allowed networks. A raw address has no name that a list, a log or an owner could judge.
 */
export function decideHost(rules: EgressRules, host: Host, port: number): HostDecision {
  const listed = decideListed(rules, host, port)
  if (listed.allow || isDenied(rules, host, port)) return listed
  // What a credential is for is reachable at every level.
  const isBound = entriesFor(rules.bound, host).some(({ ports }) => ports.has(port))
  return isBound ? ALLOWED : listed
}

/** By level and lists alone: a credential allows no one but the gateway to go to its host. */
export function decideListed(rules: EgressRules, host: Host, port: number): HostDecision {
  if (host.kind === 'invalid') return deny('invalid_host')
  if (rules.level === 'none') return deny('level_none')
  if (!Number.isInteger(port) || port < 1 || port > 65_535) return deny('port_not_allowed')
  if (isDenied(rules, host, port)) return deny('denied_by_installation')
  if (rules.level === 'full') return decideAtFull(rules, host)
  const entries = entriesFor(rules, host)
  if (entries.length === 0) {
    return deny(host.kind === 'address' ? 'address_not_allowed' : 'host_not_allowed')
  }
  return entries.some(({ ports }) => ports.has(port)) ? ALLOWED : deny('port_not_allowed')
}

/** Whether the installation's deny list names it; the entries without ports stand for all of them. */
export function isDenied({ denied }: EgressRules, host: Host, port: number): boolean {
  return entriesFor(denied, host).some(({ ports }) => ports.size === 0 || ports.has(port))
}

function decideAtFull(rules: EgressRules, host: Host): HostDecision {
  if (host.kind === 'name') return ALLOWED
  const listed = rules.networks.some((entry) => !entry.below && entry.host === hostText(host))
  return listed ? ALLOWED : deny('address_not_allowed')
}

function entriesFor(list: HostList, host: Host): HostEntry[] {
  const text = hostText(host)
  const found: HostEntry[] = []
  const exact = list.exact.get(text)
  if (exact) found.push(exact)
  if (host.kind !== 'name') return found
  for (let dot = text.indexOf('.'); dot !== -1; dot = text.indexOf('.', dot + 1)) {
    const below = list.below.get(text.slice(dot + 1))
    if (below) found.push(below)
  }
  return found
}

export interface AskedRequest {
  scheme: 'http' | 'https'
  method: string
  /** In origin form, with its query. */
  path: string
}

/** Whether what is asked of a host can be judged by the host alone: its TLS is not ended then. */
export function isJudgedByHost(rules: EgressRules, host: Host, port: number): boolean {
  const isBound = entriesFor(rules.bound, host).some(({ ports }) => ports.has(port))
  return !isBound && requestRulesFor(rules.requests, hostText(host)).length === 0
}

/** Null when a request to a host that may be reached may go on. */
export function decideRequest(
  rules: EgressRules,
  { host, port }: { host: Host; port: number },
  asked: AskedRequest,
): RequestDenial | null {
  const denial = judgeRequest(requestRulesFor(rules.requests, hostText(host)), asked)
  if (denial || decideListed(rules, host, port).allow) return denial
  // Reachable by a credential alone: where that is for, and nowhere else.
  const fitting = rules.bound.credentials.filter(
    (credential) =>
      (asked.scheme === 'https' || credential.allowHttp) &&
      credential.hosts.some(
        (one) => fitsHost(one, hostText(host)) && portsOf(one, credential).includes(port),
      ),
  )
  const path = plainPath(asked.path)
  const fits = fitting.some(
    ({ paths }) =>
      paths.length === 0 || (path !== null && paths.some((prefix) => isBelow(prefix, path))),
  )
  return fits ? null : 'path_not_allowed'
}

function deny(reason: HostDenial): HostDecision {
  return { allow: false, reason }
}

const ADVICE: Record<string, string> = {
  invalid_host: 'the host is not a valid name.',
  level_none:
    "the environment's network level is none. Choose another level in the environment to allow it.",
  denied_by_installation:
    "the host is on this installation's deny list, which holds for every session. Its owner can take it off.",
  address_not_allowed:
    'private, local and raw addresses are refused at every level. Use a public name; for an internal service the owner lists its host and network for this installation.',
  host_not_allowed:
    "the host is not on the environment's list. Add it to the allowed domains of the environment, or choose another network level.",
  port_not_allowed:
    'the host is allowed, but not on this port: hosts of the lists are reached on 80 and 443.',
  method_not_allowed:
    "the host is allowed, but not this method: the environment's rules name the methods.",
  path_not_allowed:
    "the host is allowed, but not this path: the environment's rules, or the credential for this host, name the paths. A path with an encoded slash or with .. fits none.",
  tls_not_ended: 'this host needs its TLS ended at the gateway, which is not set up here.',
  authority_mismatch: 'the Host of the request differs from the host of the connection.',
  too_many_connections: 'this session has too many connections open. Close some and try again.',
  rate_limited: 'this session opens connections faster than it may. Wait a moment and try again.',
  bytes_exhausted:
    'this session has sent and received as much today as it may. It goes on at midnight UTC, or when the limit is raised.',
  policy_changed: 'the host is no longer allowed.',
  sni_mismatch: 'the TLS server name differs from the name that was asked for.',
  sni_missing: 'TLS without a server name is refused.',
  tls_malformed: 'the TLS greeting could not be read.',
}

/** What a refused program is told: one line that names the host, the stable reason and what to do. */
export function denialText(target: string, reason: string): string {
  return `Errand refused ${target} (${reason}): ${ADVICE[reason] ?? 'not allowed.'}\n`
}
