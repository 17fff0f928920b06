// One connection outward on behalf of a session: counted, decided, dialled, and reported when it is over.
// Shared by the three ways through the proxy (proxy-connect, proxy-request, proxy-upgrade).
import { randomUUID } from 'node:crypto'
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { TakeToken } from '../../lib/token-bucket.ts'
import { AppError } from '../../protocol/errors.ts'
import type { Dial } from '../dialling/dial.ts'
import {
  addCredential,
  type BoundCredential,
  type OutgoingRequest,
  pickCredential,
} from '../rules/bound-credentials.ts'
import { decideHost, decideRequest, denialText, type isJudgedByHost } from '../rules/decide.ts'
import { type Host, hostText } from '../rules/hosts.ts'
import type { OwnPathsAt } from '../rules/own-paths.ts'
import type { EgressRules } from '../rules/policy.ts'
import type { Traffic, TrafficLimits } from '../rules/traffic.ts'
import type { LeafFor } from '../tls/authority.ts'
import type { SecureUpstream } from '../tls/upstream-tls.ts'
import type { Greeting } from './client-hello.ts'
import { mayStay, type OpenEntry, type OpenExchanges } from './open-exchanges.ts'
import type { ProxyTarget } from './proxy-target.ts'
import { deniedBecause, type Refusal, refusalOf } from './refusal.ts'

/** What the gateway has seen of one request. Denials come at once, the others when their connection ends. */
export interface EgressDecision {
  /** Of this connection. */
  id: string
  sessionId: string
  /** Milliseconds since 1970. */
  startedMs: number
  host: string
  port: number
  method: string
  /** Whether the rules allowed it; an allowed one may still have failed, with a reason such as upstream_unreachable. */
  allowed: boolean
  reason: string | null
  bytesUp: number
  bytesDown: number
  durationMs: number
  /** The name of the credential that was added. */
  credential?: string
}

export interface ProxyLimits {
  connectionsPerSession: number
  /** A connection without a byte in either direction for this long is ended. */
  idleMs: number
  /** Most bytes of an upstream response's headers. */
  headerBytes: number
}

/** Each is the function of this name in proxy-connect.ts, proxy-headers.ts, proxy-target.ts, bound-credentials.ts or decide.ts. */
export interface ProxyRules {
  judgeGreeting: (greeting: Greeting, host: Host) => string | null
  upstreamHeaders: (rawHeaders: readonly string[], authority: string) => string[]
  framingFault: (headers: IncomingHttpHeaders) => string | null
  pickCredential: typeof pickCredential
  isJudgedByHost: typeof isJudgedByHost
}

export interface TlsEnding {
  leafFor: LeafFor
  secure: SecureUpstream
  /** Asked for every CONNECT, and again for each request inside. */
  ownPathsAt?: OwnPathsAt
}

export interface ForwardProxyDeps {
  /** Asked for every request, so a changed policy holds for the next one. */
  policyFor: (sessionId: string) => EgressRules | Promise<EgressRules>
  dial: Dial
  /** What may be added to this session's requests; nothing when absent. */
  credentialsFor?: (sessionId: string) => readonly BoundCredential[]
  onCredentialUsed?: (sessionId: string, credential: BoundCredential) => void
  /** How TLS is ended for hosts that need it; without it they are refused. */
  ending?: TlsEnding
  onDecision: (decision: EgressDecision) => void
  /** Connections that are open: when they were made, and in steps while bytes move. */
  onOpen?: (decision: EgressDecision) => void
  /** How much a session may move; undefined: as much as it likes. */
  trafficFor?: (sessionId: string) => TrafficLimits | undefined
  /** What it has moved on this day before the proxy knew it. */
  usedBefore?: (sessionId: string, day: string) => number
  limits?: Partial<ProxyLimits>
  /** How requests are read and passed on, handed in for tests that leave one out. */
  rules?: Partial<ProxyRules>
  now?: () => number
}

export interface ProxyCall {
  sessionId: string
  request: IncomingMessage
  /** Of requests inside the connection, where its TLS is ended; each one takes a token. */
  takeToken?: TakeToken | undefined
}

/** What is counted and reported of a call, however it came in. */
export interface CalledBy {
  sessionId: string
  request: { method?: string | undefined }
}

/** One connection outward, from the decision to its end. */
export interface Exchange {
  rules: EgressRules
  upstream: Socket
  limits: ProxyLimits
  /** The request as it goes out: with the credential that is for it, if there is one. */
  dress(request: OutgoingRequest): OutgoingRequest
  /** Ends the connection and reports it; only the first call counts. */
  finish(reason: string | null, allowed?: boolean): void
}

/** Decides and connects; what it answers instead of an exchange has been reported already. */
export type OpenExchange = (
  call: CalledBy,
  target: ProxyTarget,
  signal: AbortSignal,
) => Promise<Exchange | Refusal>

export const DEFAULT_LIMITS: ProxyLimits = {
  connectionsPerSession: 192,
  idleMs: 10 * 60_000,
  headerBytes: 64 * 1024,
}

export function isRefusal(result: Exchange | Refusal): result is Refusal {
  return 'status' in result
}

export interface ExchangeParts {
  open: OpenExchanges
  traffic: Traffic
}

export function createOpenExchange(
  deps: ForwardProxyDeps,
  { open, traffic }: ExchangeParts,
): OpenExchange {
  const { policyFor, dial, onDecision, onOpen, now = Date.now } = deps
  const limits = { ...DEFAULT_LIMITS, ...deps.limits }
  return async ({ sessionId, request }, target, signal) => {
    const entry = createEntry({ sessionId, request }, target, now())
    const tell = (allowed: boolean, reason: string | null) =>
      onDecision(describeEntry(entry, { allowed, reason }, now()))
    const busy = refuseBusy(entry, { open, traffic, limits })
    if (busy) {
      tell(false, busy.reason)
      return busy
    }
    open.add(entry)
    try {
      const rules = await policyFor(sessionId)
      refuseRequest(rules, target, request.method ?? '')
      entry.upstream = await dial({ rules, host: target.host, port: target.port }, signal)
      entry.rules = rules
      const current = await policyFor(sessionId)
      if (!mayStay(entry, current)) {
        entry.upstream.destroy()
        throw new AppError('forbidden', 'policy_changed', denialText(target.text, 'policy_changed'))
      }
      entry.rules = current
      onOpen?.(describeEntry(entry, { allowed: true, reason: null }, now()))
      const { upstream } = entry
      const finish = once((reason: string | null, allowed: boolean) => {
        upstream.destroy()
        open.remove(entry)
        tell(allowed, entry.cutReason ?? reason)
      })
      return {
        rules: current,
        upstream,
        limits,
        dress: createDress(deps, entry),
        finish: (reason, allowed = true) => finish(reason, allowed),
      }
    } catch (error) {
      open.remove(entry)
      const refusal = refusalOf(error)
      tell(!refusal.denied, refusal.reason)
      return refusal
    }
  }
}

function createEntry(
  { sessionId, request: { method = '' } }: CalledBy,
  target: ProxyTarget,
  startedMs: number,
): OpenEntry {
  return { id: randomUUID(), sessionId, target, method, startedMs, cutReason: null, counted: 0 }
}

export function describeEntry(
  entry: OpenEntry,
  outcome: Pick<EgressDecision, 'allowed' | 'reason'>,
  nowMs: number,
): EgressDecision {
  const { id, sessionId, target, method, startedMs, upstream, credential } = entry
  return {
    ...{ id, sessionId, startedMs, method, ...outcome },
    host: hostText(target.host) || target.text.slice(0, 255),
    port: target.port,
    bytesUp: upstream?.bytesWritten ?? 0,
    bytesDown: upstream?.bytesRead ?? 0,
    durationMs: nowMs - startedMs,
    ...(credential === undefined ? {} : { credential }),
  }
}

function refuseBusy(
  { sessionId, target }: OpenEntry,
  { open, traffic, limits }: ExchangeParts & { limits: ProxyLimits },
): Refusal | null {
  const refuse = (reason: string, retryAfterS?: number) =>
    deniedBecause(reason, denialText(target.text, reason), retryAfterS)
  if (open.count(sessionId) >= limits.connectionsPerSession) return refuse('too_many_connections')
  const refused = traffic.admit(sessionId)
  return refused && refuse(refused.reason, refused.retryAfterS)
}

/** Throws what a rule on methods and paths refuses; a tunnel asks for no path. */
function refuseRequest(rules: EgressRules, target: ProxyTarget, method: string): void {
  const { path, scheme, host, port } = target
  // A host that may not be reached has its own reason, which `dial` gives.
  if (path === '' || !decideHost(rules, host, port).allow) return
  const reason = decideRequest(rules, target, { scheme, method, path })
  if (reason === null) return
  throw new AppError('forbidden', reason, denialText(target.text, reason).trimEnd())
}

function createDress(
  { credentialsFor, onCredentialUsed, rules }: ForwardProxyDeps,
  entry: OpenEntry,
): Exchange['dress'] {
  const { sessionId, target } = entry
  const pick = rules?.pickCredential ?? pickCredential
  return (outgoing) => {
    const asked = { ...target, host: hostText(target.host) }
    const found = pick(credentialsFor?.(sessionId) ?? [], asked)
    if (!found) return outgoing
    entry.credential = found.name
    onCredentialUsed?.(sessionId, found)
    return addCredential(outgoing, found)
  }
}

function once<A extends unknown[]>(act: (...args: A) => void): (...args: A) => void {
  let done = false
  return (...args) => {
    if (done) return
    done = true
    act(...args)
  }
}
