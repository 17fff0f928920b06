// What a turn of the agent changed, in every repository that its session may push to: what each was like before is
// remembered, and at the end each is committed and pushed by itself. One that fails keeps no other from it.
import { orAborted, withDeadline } from '../../lib/deadline.ts'
import type { RunnerReport } from '../../protocol/runner-frames.ts'
import type { StateFile } from '../state-file.ts'
import {
  type FinishDeps,
  type FinishOutcome,
  finishWork,
  type Snapshot,
  takeSnapshot,
} from './finish-work.ts'
import type { TurnContext } from './turn-end.ts'

/** The name of the main repository in what is remembered. */
const MAIN = ''
const FINISH_MS = 180_000
/** What git has not seen by then is not known: a filter of the repository may hang, and the turn has not even begun. */
const LOOK_MS = 180_000
const UNNOTED =
  'The disk of the sandbox did not take a note of this. The next turn tries again, unless the sandbox is started again before it.'

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

/** By name; null: not known. */
type Before = Record<string, Snapshot | null>

export interface TurnWork {
  /**
   * Begins to note what is there, for a turn that begins as soon as its agent runs; null when there is none. `isUntouched`: the
   * main work tree holds the files of the commit that the session started from, and no other.
   */
  expect(turnId: string | null, seen: { isUntouched: boolean; stopped: AbortSignal }): void
  /** Notes what is there; a turn that is taken up again keeps what was noted at its start. False: it was ended before that. */
  begin(turnId: string, context: TurnContext): Promise<boolean>
  finish(turn: { id: string; text: string }, stopped: AbortSignal): Promise<void>
  /** Nobody waits for what `finish` has not done yet: it goes on, and where it is cut off the next turn does it. */
  leave(): void
  /** The agent goes on by itself after a turn: notes what is there, for `finishAfter` or else for the next turn. */
  beginAfter(stopped: AbortSignal): Promise<void>
  /** It rests again. `text` is that of the turn that it went on from. */
  finishAfter(text: string, stopped: AbortSignal): Promise<void>
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
  /** By name: notes that nothing of it is done. */
  const unfinished = new Map<string, () => void>()
  const all = [{ name: MAIN, checkout: main }, ...additional]
  /** Of those repositories of which `before` says what they were like. */
  const finishAll = async (before: Before, ending: Omit<Ending, 'report'>) => {
    const ends = all.flatMap(({ name, checkout }) => {
      const own = before[name]
      if (own === undefined) return []
      const notes = notesOf(state, { name, before: own })
      unfinished.set(name, () => notes.note(NOTHING_DONE))
      const end = finishOne({ checkout, name, before: own, ...notes }, { ...ending, report })
      return [end.finally(() => unfinished.delete(name))]
    })
    await Promise.all(ends)
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
    finish: (turn, stopped) => {
      const { before, additional: others } = state.get().turn ?? { before: null }
      const known: Before = { ...others, [MAIN]: before }
      const whole = Object.fromEntries(all.map(({ name }) => [name, known[name] ?? null]))
      return finishAll(whole, { turn, stopped })
    },
    leave: () => {
      for (const note of unfinished.values()) note()
    },
    beginAfter: async (stopped) => {
      const { before, additional: others } = await lookAround(stopped)
      // What is noted already is older.
      if (!stopped.aborted)
        state.set({ uncommitted: { ...others, [MAIN]: before, ...state.get().uncommitted } })
    },
    finishAfter: (text, stopped) =>
      finishAll(state.get().uncommitted, { turn: { id: null, text }, stopped }),
  }
}

/** What an earlier turn could not commit belongs to this one. */
function startingFrom(seen: Seen, uncommitted: Before): Seen {
  const { [MAIN]: main, ...others } = uncommitted
  const additional = Object.entries({ ...seen.additional, ...others })
  return {
    before: main === undefined ? seen.before : main,
    additional: Object.fromEntries(
      additional.filter((entry): entry is [string, Snapshot] => entry[1] !== null),
    ),
  }
}

/** What is remembered of the end of a turn in one repository. */
function notesOf(state: StateFile, { name, before }: { name: string; before: Snapshot | null }) {
  const isMain = name === MAIN
  return {
    pushPending: isMain ? state.get().pushPending : state.get().pushPendingIn.includes(name),
    /** False: something is left to do, and that would be forgotten by a restart. */
    note: ({ pushPending, isUncommitted }: Omit<FinishOutcome, 'notices'>): boolean => {
      const { [name]: _, ...uncommitted } = state.get().uncommitted
      const others = state.get().pushPendingIn.filter((other) => other !== name)
      const isNoted = state.set({
        ...(isMain ? { pushPending } : { pushPendingIn: pushPending ? [...others, name] : others }),
        uncommitted: isUncommitted ? { ...uncommitted, [name]: before } : uncommitted,
      })
      return isNoted || !(pushPending || isUncommitted)
    },
  }
}

const NOTHING_DONE = { pushPending: true, isUncommitted: true }

interface One extends ReturnType<typeof notesOf> {
  checkout: FinishDeps
  name: string
  before: Snapshot | null
}

interface Ending {
  /** Null for what the agent did after a turn. */
  turn: { id: string | null; text: string }
  report: TurnWorkDeps['report']
  stopped: AbortSignal
}

async function finishOne(
  { checkout, name, before, pushPending, note }: One,
  { turn, report, stopped }: Ending,
): Promise<void> {
  const notice = (kind: string, said: string) => {
    const text = name === MAIN ? said : `${name}: ${said}`
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
    const isKnown = note(outcome)
    for (const { kind, text } of outcome.notices) notice(kind, text)
    if (!isKnown) notice('commit', UNNOTED)
  } catch (error) {
    if (stopped.aborted) return
    const isKnown = note(NOTHING_DONE)
    notice('commit', error instanceof Error ? error.message : String(error))
    if (!isKnown) notice('commit', UNNOTED)
  }
}
