// What a round of the chaos test does, drawn from one number: the same number is the same round.
import type { Victim } from './bench.ts'
import type { HoldPoint } from './forge.ts'
import { INSIDE, PROGRAMS } from './processes.ts'

export type Moment =
  /** After so many events of the session's log since it was asked. */
  | { kind: 'event'; count: number }
  /** When the model gets its so manieth request since then. */
  | { kind: 'model'; count: number }
  /** While the forge holds the push. */
  | { kind: 'push'; point: HoldPoint }

export interface Plan {
  seed: number
  victim: Victim | 'everything'
  /** Which of the sessions that work at the same time it is about. */
  session: number
  moment: Moment
  /** Before "add the note" in each session's prompt. */
  ways: string[]
  /** The sessions that begin anew, in a sandbox of their own. */
  fresh: boolean[]
}

const VICTIMS: readonly Plan['victim'][] = [
  ...PROGRAMS,
  ...INSIDE,
  ...PROGRAMS,
  ...INSIDE,
  'everything',
]
/** Of a turn: some 5 events of its start in a ready sandbox, 15 with a new one, and 10 of its work. */
const MOST_EVENTS = 16
const MOST_REQUESTS = 3

export function drawPlan(seed: number, sessions: number): Plan {
  const random = createRandom(seed)
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T
  const count = (most: number) => 1 + Math.floor(random() * most)
  const victim = pick(VICTIMS)
  const moment = pick<() => Moment>([
    () => ({ kind: 'event', count: count(MOST_EVENTS) }),
    () => ({ kind: 'model', count: count(MOST_REQUESTS) }),
    () => ({ kind: 'push', point: pick(['before', 'after']) }),
  ])()
  const each = <T>(draw: () => T) => Array.from({ length: sessions }, draw)
  return {
    ...{ seed, victim, moment, session: Math.floor(random() * sessions) },
    ways: each(() => pick(['', '', 'quietly '])),
    fresh: each(() => random() < 0.1),
  }
}

/** Numbers in [0, 1) that follow from the seed (mulberry32). */
function createRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
