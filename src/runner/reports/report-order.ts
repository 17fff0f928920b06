// Holds back what the agent says until it has written it down itself, a tenth of a second later: what it would not know after
// a sudden death is not told either, so that the log never says more than its transcript. The order is kept.
import { delay } from '../../lib/deadline.ts'
import type { RunnerReport } from '../../protocol/runner-frames.ts'
import type { Transcript } from '../agent/transcript.ts'

const LOOK_MS = 25
/** What is not written down after this long is told nevertheless. */
const PATIENCE_MS = 5_000
/** The patience with an agent that has exhausted it before. */
const LITTLE_PATIENCE_MS = 200

export interface ReportOrder {
  /** `uuid` names the message that must have been written down; null for what only keeps its place. */
  add(uuid: string | null, reports: RunnerReport[]): void
  /** Resolves when nothing is held any more. */
  settle(): Promise<void>
  /** The agent has died: what it has not written down is dropped. */
  settleAfterDeath(): Promise<void>
}

export interface ReportOrderDeps {
  report: (report: RunnerReport) => void
  transcript: Pick<Transcript, 'has' | 'look'>
  patienceMs?: number
}

interface Held {
  uuid: string | null
  reports: RunnerReport[]
  since: number
}

export function createReportOrder(deps: ReportOrderDeps): ReportOrder {
  const { transcript } = deps
  let held: Held[] = []
  let patienceMs = deps.patienceMs ?? PATIENCE_MS
  let releasing: Promise<void> | undefined

  const release = () => {
    while (held[0] && mayGo(held[0])) {
      for (const report of held.shift()?.reports ?? []) deps.report(report)
    }
  }
  const mayGo = ({ uuid, since }: Held) => {
    if (uuid === null) return true
    if (transcript.has(uuid)) {
      patienceMs = deps.patienceMs ?? PATIENCE_MS
      return true
    }
    if (performance.now() - since < patienceMs) return false
    patienceMs = Math.min(patienceMs, LITTLE_PATIENCE_MS)
    return true
  }
  const releaseAll = async () => {
    for (;;) {
      release()
      if (held.length === 0) return
      // A transcript that cannot be read is as one that is not written: patience ends.
      await transcript.look().catch(() => undefined)
      release()
      if (held.length > 0) await delay(LOOK_MS)
    }
  }
  const begin = () => {
    releasing ??= releaseAll().finally(() => {
      releasing = undefined
      // What came after the last look and before this.
      if (held.length > 0) begin()
    })
  }
  const settle = async () => {
    while (releasing) await releasing
  }
  return {
    add(uuid, reports) {
      if (reports.length === 0) return
      held.push({ uuid, reports, since: performance.now() })
      begin()
    },
    settle,
    async settleAfterDeath() {
      await transcript.look().catch(() => undefined)
      held = held.filter(({ uuid }) => uuid === null || transcript.has(uuid))
      await settle()
    },
  }
}
