// What the runner is to do now, derived from the state alone: sent whole after every change and every reconnect.
import type { Directives } from '../../protocol/runner-frames.ts'
import type { SessionState } from '../../protocol/session.ts'

export function directivesFor(state: SessionState): Directives {
  const { turn, mode, model, answers } = state
  return {
    turn: turn && {
      id: turn.id,
      kind: turn.kind,
      text: turn.text,
      interrupt: turn.interruptRequested,
    },
    mode,
    model,
    answers,
  }
}
