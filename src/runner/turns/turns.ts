// Brings what runs in line with what is wanted: a new turn is accepted and run, one that ended is never run again, one that
// is no longer wanted is interrupted. Every accepted turn gets exactly one end. The same directives twice change nothing.
import type { Directives, RunnerReport } from '../../protocol/runner-frames.ts'
import type { StateFile } from '../state-file.ts'
import type { RunTurn, TurnEnd } from './turn-end.ts'

type WantedTurn = NonNullable<Directives['turn']>

export interface TurnsDeps {
  report: (report: RunnerReport) => void
  state: StateFile
  run: Record<WantedTurn['kind'], RunTurn>
  /** Turns whose end is in the journal. */
  ended: Iterable<string>
  /** After the end of a turn was reported. */
  onEnd?: () => void
}

export interface Turns {
  reconcile(wanted: WantedTurn | null): void
  /** Ends what runs without reporting an end: the turn is taken up again after the next start. */
  stop(): Promise<void>
}

interface Running {
  id: string
  interrupt: AbortController
  done: Promise<void>
}

export function createTurns(deps: TurnsDeps): Turns {
  const ended = new Set(deps.ended)
  const stopping = new AbortController()
  let running: Running | undefined
  let wanted: WantedTurn | null = null

  const reconcile = () => {
    if (stopping.signal.aborted) return
    if (running) {
      if (wanted?.id !== running.id || wanted.interrupt) running.interrupt.abort()
      return
    }
    if (wanted && !ended.has(wanted.id)) start(wanted)
  }
  const start = (turn: WantedTurn) => {
    const interrupt = new AbortController()
    const done = runToEnd(turn, interrupt).then(() => {
      running = undefined
      reconcile()
    })
    running = { id: turn.id, interrupt, done }
  }
  const runToEnd = async (turn: WantedTurn, interrupt: AbortController) => {
    const startedAt = performance.now()
    const isResumed = deps.state.get().turn?.id === turn.id
    deps.report({ type: 'turn.accepted', turnId: turn.id })
    const stopped = stopping.signal
    const context = { interrupted: interrupt.signal, stopped, isResumed }
    const end = turn.interrupt
      ? ({ kind: 'interrupted' } as const)
      : await deps.run[turn.kind](turn, context).catch(unexpected)
    if (stopped.aborted) return
    ended.add(turn.id)
    // It stays the one that was started last: a death may come before its end is on disk or told.
    deps.report(endReport(turn.id, end, Math.round(performance.now() - startedAt)))
    deps.onEnd?.()
  }
  return {
    reconcile(next) {
      wanted = next
      reconcile()
    },
    async stop() {
      stopping.abort(new Error('the runner stops'))
      await running?.done
    },
  }
}

/** The turns that these reports end. */
export function endedTurns(reports: RunnerReport[]): string[] {
  return reports.flatMap((report) =>
    report.type === 'turn.completed' ||
    report.type === 'turn.failed' ||
    report.type === 'turn.interrupted'
      ? [report.turnId]
      : [],
  )
}

function endReport(turnId: string, end: TurnEnd, durationMs: number): RunnerReport {
  switch (end.kind) {
    case 'completed':
      return { type: 'turn.completed', turnId, exitCode: end.exitCode, durationMs }
    case 'interrupted':
      return { type: 'turn.interrupted', turnId }
    case 'failed':
      return { type: 'turn.failed', turnId, reason: end.reason, message: end.message }
  }
}

function unexpected(error: unknown): TurnEnd {
  const message = error instanceof Error ? error.message : String(error)
  return { kind: 'failed', reason: 'unexpected', message }
}
