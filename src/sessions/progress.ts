// What follows from a state by itself: the next message becomes a turn, a turn needs a sandbox, a failure stops it.
import type { PhaseName } from '../protocol/session.ts'
import type { Draft } from './draft.ts'

/** Starts what is due: the next waiting message when no turn is on, and a sandbox when a turn has none. */
export function advance(draft: Draft): void {
  const next = draft.state.queue[0]
  if (!draft.state.turn && next) draft.emit('system', { type: 'turn.started', turnId: next.id })
  const { turn, sandbox } = draft.state
  if (!turn || sandbox.state === 'preparing' || sandbox.state === 'ready') return
  const generation = sandbox.generation + 1
  const resume = sandbox.state !== 'none'
  draft.emit('system', { type: 'sandbox.preparing', generation, resume })
  draft.request({ kind: 'sandbox.start', generation })
}

/** Ends the current turn as interrupted without asking the runner, which may not be there. */
export function endTurnBySystem(draft: Draft): void {
  const { turn } = draft.state
  if (turn) draft.emit('system', { type: 'turn.interrupted', turnId: turn.id })
}

/** A failed preparation: the turn waits for a retry, the sandbox is stopped. */
export function failPreparation(
  draft: Draft,
  source: 'claimed' | 'system',
  failure: { phase: PhaseName; durationMs: number; reason: string; message: string },
): void {
  const { generation } = draft.state.sandbox
  const { reason, message } = failure
  draft.emit(source, { type: 'phase.failed', generation, ...failure })
  draft.emit('system', { type: 'sandbox.stopped', generation, why: 'failed' })
  draft.emit('system', { type: 'session.failed', reason, message })
  draft.cancelEffects()
  draft.request({ kind: 'sandbox.stop', generation, why: 'failed' })
}
