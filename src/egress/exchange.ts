// One connection outward on behalf of a session: counted, decided, dialled, and reported when it is over.
// Shared by the three ways through the proxy (proxy-connect, proxy-request, proxy-upgrade).
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { denialText } from './decide.ts'
import type { Dial } from './dial.ts'
import { hostText } from './hosts.ts'
import type { EgressRules } from './policy.ts'
import type { ProxyTarget } from './proxy-target.ts'
import { deniedBecause, type Refusal, refusalOf } from './refusal.ts'

/** What the gateway has seen of one request. Denials come at once, the others when their connection ends. */
export interface EgressDecision {
  sessionId: string
  host: string
  port: number
  method: string
  /** Whether the rules allowed it; an allowed one may still have failed, with a reason such as upstream_unreachable. */
  allowed: boolean
  reason: string | null
  bytesUp: number
  bytesDown: number
  durationMs: number
}

export interface ProxyLimits {
  connectionsPerSession: number
  /** A connection without a byte in either direction for this long is ended. */
  idleMs: number
  /** Most bytes of an upstream response's headers. */
  headerBytes: number
}

export interface ForwardProxyDeps {
  /** Asked for every request, so a changed policy holds for the next one. */
  policyFor: (sessionId: string) => EgressRules | Promise<EgressRules>
  dial: Dial
  onDecision: (decision: EgressDecision) => void
  limits?: Partial<ProxyLimits>
  now?: () => number
}

export interface ProxyCall {
  sessionId: string
  request: IncomingMessage
}

/** One connection outward, from the decision to its end. */
export interface Exchange {
  rules: EgressRules
  upstream: Socket
  limits: ProxyLimits
  /** Ends the connection and reports it; only the first call counts. */
  finish(reason: string | null, allowed?: boolean): void
}

/** Decides and connects; what it answers instead of an exchange has been reported already. */
export type OpenExchange = (
  call: ProxyCall,
  target: ProxyTarget,
  signal: AbortSignal,
) => Promise<Exchange | Refusal>

const DEFAULT_LIMITS: ProxyLimits = {
  connectionsPerSession: 192,
  idleMs: 10 * 60_000,
  headerBytes: 64 * 1024,
}

export function isRefusal(result: Exchange | Refusal): result is Refusal {
  return 'status' in result
}

/** `open` counts the connections of each session. */
export function createOpenExchange(
  deps: ForwardProxyDeps,
  open: Map<string, number>,
): OpenExchange {
  const { policyFor, dial, onDecision, now = Date.now } = deps
  const limits = { ...DEFAULT_LIMITS, ...deps.limits }
  const count = (sessionId: string, step: number) => {
    const next = (open.get(sessionId) ?? 0) + step
    if (next > 0) open.set(sessionId, next)
    else open.delete(sessionId)
  }
  return async ({ sessionId, request }, target, signal) => {
    const startedMs = now()
    const report = (allowed: boolean, reason: string | null, upstream?: Socket) =>
      onDecision({
        sessionId,
        host: hostText(target.host) || target.text.slice(0, 255),
        port: target.port,
        method: request.method ?? '',
        allowed,
        reason,
        bytesUp: upstream?.bytesWritten ?? 0,
        bytesDown: upstream?.bytesRead ?? 0,
        durationMs: now() - startedMs,
      })
    if ((open.get(sessionId) ?? 0) >= limits.connectionsPerSession) {
      report(false, 'too_many_connections')
      return deniedBecause('too_many_connections', denialText(target.text, 'too_many_connections'))
    }
    count(sessionId, 1)
    try {
      const rules = await policyFor(sessionId)
      const upstream = await dial({ rules, host: target.host, port: target.port }, signal)
      const finish = once((reason: string | null, allowed: boolean) => {
        count(sessionId, -1)
        upstream.destroy()
        report(allowed, reason, upstream)
      })
      return {
        rules,
        upstream,
        limits,
        finish: (reason, allowed = true) => finish(reason, allowed),
      }
    } catch (error) {
      count(sessionId, -1)
      const refusal = refusalOf(error)
      report(!refusal.denied, refusal.reason)
      return refusal
    }
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
