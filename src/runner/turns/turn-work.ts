// What a turn of the agent changed, in every repository that its session may push to: what each was like before is
// remembered, and at the end each is committed and pushed by itself. One that fails keeps no other from it.
import { orAborted, withDeadline } from '../../lib/deadline.ts'
import type { RunnerReport } from '../../protocol/runner-frames.ts'
import type { StateFile } from '../state-file.ts'
import { type FinishDeps, finishWork, type Snapshot, takeSnapshot } from './finish-work.ts'
import type { TurnContext } from './turn-end.ts'

const FINISH_MS = 180_000
/** What git has not seen by then is not known: a filter of the repository may hang, and the turn has not even begun. */
const LOOK_MS = 180_000

export interface TurnWorkDeps {
  /** The main repository. */
  main: FinishDeps
  additional: { name: string; checkout: FinishDeps }[]
  state: StateFile
  report: (report: RunnerReport) => void
  /** Three minutes unless told. */
  lookMs?: number
}

interface Seen {
  before: Snapshot | null
  additional: Record<string, Snapshot>
}

export interface TurnWork {
  /**
   * Begins to note what is there, for a turn that begins as soon as its agent runs; null when there is none. `isUntouched`: the
   * main work tree holds the files of the commit that the session started from, and no other.
   */
  expect(turnId: string | null, seen: { isUntouched: boolean; stopped: AbortSignal }): void
  /** Notes what is there; a turn that is taken up again keeps what was noted at its start. False: it was ended before that. */
  begin(turnId: string, context: TurnContext): Promise<boolean>
  finish(turn: { id: string; text: string }, stopped: AbortSignal): Promise<void>
}

export function createTurnWork(deps: TurnWorkDeps): TurnWork {
  const { main, additional, state, report, lookMs = LOOK_MS } = deps
  let expected: { id: string; seen: Promise<Seen> } | undefined
  const lookAround = async (stopped: AbortSignal, isUntouched = false): Promise<Seen> => {
    // A folder that is no work tree any more is said at the end of the turn, and so is a git that hangs.
    const look = (checkout: FinishDeps) =>
      withDeadline(
        'a look at the work tree',
        lookMs,
        (signal) => takeSnapshot(checkout, signal),
        stopped,
      ).catch(() => null)
    const others = additional.map(async ({ name, checkout }) => [name, await look(checkout)])
    const own = isUntouched ? { head: main.baseCommit, tree: null } : look(main)
    const [before, ...found] = await Promise.all([own, ...others])
    const known = found.filter((entry): entry is [string, Snapshot] => entry[1] !== null)
    return { before, additional: Object.fromEntries(known) }
  }
  return {
    expect: (id, { isUntouched, stopped }) => {
      const isNew = id !== null && state.get().turn?.id !== id
      expected = isNew ? { id, seen: lookAround(stopped, isUntouched) } : undefined
    },
    begin: async (id, { isResumed, interrupted, stopped }) => {
      if (isResumed && state.get().turn?.id === id) return true
      const isOver = AbortSignal.any([interrupted, stopped])
      const looking = expected?.id === id ? expected.seen : lookAround(isOver)
      expected = undefined
      const seen = await orAborted(looking, isOver).catch(() => undefined)
      // What nobody has waited for is not known, and would be taken for that turn's.
      if (!seen || isOver.aborted) return false
      state.set({ turn: { id, ...startingFrom(seen, state.get().uncommitted) } })
      return true
    },
    finish: async (turn, stopped) => {
      const before = state.get().turn
      const setUncommitted = (name: string, isUncommitted: boolean) => {
        const { [name]: _, ...others } = state.get().uncommitted
        const own = name === MAIN ? before?.before : before?.additional?.[name]
        state.set({ uncommitted: isUncommitted ? { ...others, [name]: own ?? null } : others })
      }
      const end = (one: One) => finishOne(one, { turn, report, stopped })
      await Promise.all([
        end({
          ...{ checkout: main, name: null, before: before?.before ?? null },
          pushPending: state.get().pushPending,
          setPending: (pushPending) => state.set({ pushPending }),
          setUncommitted: (isUncommitted) => setUncommitted(MAIN, isUncommitted),
        }),
        ...additional.map(({ name, checkout }) =>
          end({
            ...{ checkout, name, before: before?.additional?.[name] ?? null },
            pushPending: state.get().pushPendingIn.includes(name),
            setPending: (isPending) => {
              const others = state.get().pushPendingIn.filter((other) => other !== name)
              state.set({ pushPendingIn: isPending ? [...others, name] : others })
            },
            setUncommitted: (isUncommitted) => setUncommitted(name, isUncommitted),
          }),
        ),
      ])
    },
  }
}

/** Its name in what is remembered. */
const MAIN = ''

/** What an earlier turn could not commit belongs to this one. */
function startingFrom(seen: Seen, uncommitted: Record<string, Snapshot | null>): Seen {
  const { [MAIN]: main, ...others } = uncommitted
  const additional = Object.entries({ ...seen.additional, ...others })
  return {
    before: main === undefined ? seen.before : main,
    additional: Object.fromEntries(
      additional.filter((entry): entry is [string, Snapshot] => entry[1] !== null),
    ),
  }
}

interface One {
  checkout: FinishDeps
  /** Null for the main repository. */
  name: string | null
  before: Snapshot | null
  pushPending: boolean
  setPending(pushPending: boolean): void
  setUncommitted(isUncommitted: boolean): void
}

interface Ending {
  turn: { id: string; text: string }
  report: TurnWorkDeps['report']
  stopped: AbortSignal
}

async function finishOne(
  { checkout, name, before, pushPending, setPending, setUncommitted }: One,
  { turn, report, stopped }: Ending,
): Promise<void> {
  const notice = (kind: string, said: string) => {
    const text = name === null ? said : `${name}: ${said}`
    report({ type: 'agent.notice', turnId: turn.id, kind, text })
  }
  try {
    const work = { prompt: turn.text, before, pushPending }
    const outcome = await withDeadline(
      'committing and pushing',
      FINISH_MS,
      (signal) => finishWork(checkout, work, signal),
      stopped,
    )
    setPending(outcome.pushPending)
    setUncommitted(outcome.isUncommitted)
    for (const { kind, text } of outcome.notices) notice(kind, text)
  } catch (error) {
    if (stopped.aborted) return
    setPending(true)
    setUncommitted(true)
    notice('commit', error instanceof Error ? error.message : String(error))
  }
}
