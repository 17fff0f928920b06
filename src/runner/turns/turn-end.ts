// How a turn can end. Shared by the kinds of turns and by what reports their ends.

export type TurnEnd =
  | { kind: 'completed'; exitCode: number | null }
  | { kind: 'interrupted' }
  | { kind: 'failed'; reason: string; message: string }

export interface TurnContext {
  /** Aborts when the turn is to be interrupted. */
  interrupted: AbortSignal
  /** Aborts when the runner stops: nothing is to be reported any more. */
  stopped: AbortSignal
  /** The turn was started by an earlier run of the runner, which did not see its end. */
  isResumed: boolean
}

export type RunTurn = (turn: { id: string; text: string }, context: TurnContext) => Promise<TurnEnd>
