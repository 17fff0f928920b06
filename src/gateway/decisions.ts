// Hands what the gateway has decided about a session's traffic to the session's events and to its network log, without any value
// of a credential: a program inside can ask for a host whose name holds one.
// What this does not protect against: a name in a form that lib/redact.ts does not know.
import type { EgressDecision, ForwardProxyDeps } from '../egress/proxy/exchange.ts'
import type { Redactor } from '../lib/redact.ts'
import type { NetworkLog } from './network-log.ts'
import type { Reports } from './reports.ts'

export interface DecisionTellers {
  /** Undefined for what is no session: nothing is told of that. */
  redactorOf(sessionId: string): Redactor | undefined
  reports: Pick<Reports, 'decided'>
  log: Pick<NetworkLog, 'opened' | 'decided'>
}

export function tellDecisions({
  redactorOf,
  reports,
  log,
}: DecisionTellers): Required<Pick<ForwardProxyDeps, 'onOpen' | 'onDecision'>> {
  /** By connection: what ends with its session, or after it, is told as well. */
  const open = new Map<string, Redactor>()
  const redacted = (decision: EgressDecision, redactor: Redactor) => ({
    ...decision,
    host: redactor.host(decision.host),
  })
  return {
    onOpen: (decision) => {
      const redactor = redactorOf(decision.sessionId)
      if (!redactor) return
      open.set(decision.id, redactor)
      log.opened(redacted(decision, redactor))
    },
    onDecision: (decision) => {
      const redactor = redactorOf(decision.sessionId) ?? open.get(decision.id)
      open.delete(decision.id)
      if (!redactor) return
      const told = redacted(decision, redactor)
      reports.decided(told)
      log.decided(told)
    },
  }
}
