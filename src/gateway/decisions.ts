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
  const redacted = (tell: (decision: EgressDecision) => void) => (decision: EgressDecision) => {
    const redactor = redactorOf(decision.sessionId)
    if (redactor) tell({ ...decision, host: redactor.host(decision.host) })
  }
  return {
    onOpen: redacted(log.opened),
    onDecision: redacted((decision) => {
      reports.decided(decision)
      log.decided(decision)
    }),
  }
}
