// What follows from a state by itself: the next message becomes a turn, a turn needs a sandbox, a failure stops it.
import type { PhaseName } from '../../protocol/session.ts'
import type { Draft } from './draft.ts'

/**
 * Starts what is due: the next waiting message when no turn is on, and a sandbox when a turn has none. A turn that is on
 * keeps its slot, also when its question is answered or its sandbox is lost. A session in the queue stays there.
 */
export function advance(draft: Draft): void {
  const { turn, queue, status } = draft.state
  if (status === 'queued') return
  if (turn && (status === 'working' || status === 'waiting')) begin(draft)
  else if (turn || queue.length > 0) beginOrQueue(draft)
}

/** Begins work where a slot is free for it, and else goes behind those that wait for one. */
export function beginOrQueue(draft: Draft): void {
  if (draft.takeSlot()) begin(draft)
  else draft.emit('system', { type: 'session.queued' })
}

/** It is the turn of this session to get a slot; it goes on waiting when somebody was faster. */
export function admit(draft: Draft): void {
  if (draft.state.status === 'queued' && draft.takeSlot()) begin(draft)
}

function begin(draft: Draft): void {
  startNextTurn(draft)
  const { turn, sandbox, repository } = draft.state
  if (!turn || sandbox.state === 'preparing' || sandbox.state === 'ready') return
  const generation = sandbox.generation + 1
  const resume = sandbox.state !== 'none'
  draft.emit('system', { type: 'sandbox.preparing', generation, resume })
  if (repository.commit !== null) keepFetch(draft, generation)
  draft.request({ kind: 'sandbox.start', generation })
}

/** The repository lies in gitd already. */
function keepFetch(draft: Draft, generation: number): void {
  const phase = 'fetch'
  draft.emit('system', { type: 'phase.started', phase, generation })
  draft.emit('system', { type: 'phase.completed', phase, generation, durationMs: 0, kept: true })
}

function startNextTurn(draft: Draft): void {
  const { turn, queue } = draft.state
  if (!turn && queue[0]) draft.emit('system', { type: 'turn.started', turnId: queue[0].id })
}

/**
 * Ends the current turn as interrupted without asking the runner, which may not be there. The message of a session that
 * waits for a slot is ended like one that was begun: it is not lost, and the place in the queue is given up.
 */
export function endTurnBySystem(draft: Draft): void {
  if (draft.state.status === 'queued') startNextTurn(draft)
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
  draft.cancel('sandbox')
  draft.request({ kind: 'sandbox.stop', generation, why: 'failed' })
}
