// The work of a turn of the agent from its beginning to its commit, and of what the agent does by itself after one, as when a
// task in its background has ended: that is committed as well when it rests again. One after the other; one that goes wrong is
// told, and keeps no other.
import type { SDKMessage } from '@anthropic-ai/claude-agent-sdk/core'
import { orAborted, withDeadline } from '../../lib/deadline.ts'
import type { TurnContext, TurnEnd } from './turn-end.ts'
import type { TurnWork } from './turn-work.ts'

/** Whoever interrupts a turn waits for its commit no longer than this: it goes on behind the turn. */
const LEAVE_MS = 2_000

type AskedTurn = { id: string; text: string }

export interface WorkOfTurns {
  /** `converse` is the turn between its beginning and its commit. */
  run(turn: AskedTurn, context: TurnContext, converse: () => Promise<TurnEnd>): Promise<TurnEnd>
  /** To be called with what the agent says outside of `converse`. */
  take(message: SDKMessage): void
}

export interface WorkOfTurnsDeps {
  /** What went on behind a turn has ended. */
  onLate: () => void
  /** The turn is null for what the agent does by itself. */
  wentWrong: (error: unknown, turnId: string | null) => void
  leaveMs?: number
}

export function createWorkOfTurns(
  work: TurnWork,
  { onLate, wentWrong, leaveMs = LEAVE_MS }: WorkOfTurnsDeps,
): WorkOfTurns {
  let last: { text: string; stopped: AbortSignal } | undefined
  let isTurn = false
  let queue: Promise<void> = Promise.resolve()
  const next = (turnId: string | null, step: () => Promise<void>) => {
    queue = queue.then(step).catch((error: unknown) => wentWrong(error, turnId))
    return queue
  }
  const finish = async (turn: AskedTurn, { interrupted, stopped }: TurnContext) => {
    const finishing = next(turn.id, () => work.finish(turn, stopped))
    const leave = () => {
      work.leave()
      void finishing.then(onLate)
    }
    await orAborted(finishing, interrupted).catch(() =>
      withDeadline('the commit of a turn', leaveMs, () => finishing, stopped).catch(leave),
    )
  }
  const converseAndFinish = async (
    turn: AskedTurn,
    context: TurnContext,
    converse: () => Promise<TurnEnd>,
  ) => {
    const { interrupted, stopped } = context
    // What is under way comes first.
    await orAborted(queue, AbortSignal.any([interrupted, stopped])).catch(() => undefined)
    if (!(await work.begin(turn.id, context))) return { kind: 'interrupted' } as const
    const end = await converse()
    isTurn = false
    if (!stopped.aborted) await finish(turn, context)
    return end
  }
  return {
    async run(turn, context, converse) {
      // What the agent does from now on is the turn's.
      isTurn = true
      last = { text: turn.text, stopped: context.stopped }
      try {
        return await converseAndFinish(turn, context, converse)
      } finally {
        isTurn = false
      }
    },
    take(message) {
      if (isTurn || !last) return
      const { text, stopped } = last
      if (message.type === 'system' && message.subtype === 'init')
        void next(null, () => work.beginAfter(stopped))
      if (message.type === 'result')
        void next(null, () => work.finishAfter(text, stopped)).then(onLate)
    },
  }
}
