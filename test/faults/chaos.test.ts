// Short turns in which something random is killed at a random moment, again and again; after each round everything holds that
// holds after a turn without a kill. ERRAND_CHAOS_ROUNDS says how many, ERRAND_CHAOS_SEED which: round n has the seed + n, so
// that a round that failed is repeated by its own seed and ERRAND_CHAOS_ROUNDS=1.
import { randomInt } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Bench, createBench, eventually, isInside, kill, watchOrphans } from './bench.ts'
import { askForNote, killing, type NoteSession, settle, startNote } from './notes.ts'
import { drawPlan, type Moment, type Plan } from './plan.ts'
import { cutPower } from './reboot.ts'

const SESSIONS = 2
const ROUNDS = Number(process.env.ERRAND_CHAOS_ROUNDS ?? 25)
const SEED = Number(process.env.ERRAND_CHAOS_SEED ?? randomInt(1_000_000))
const ROUND_LIMIT_MS = 180_000
const MOMENT_LIMIT_MS = 60_000

let bench: Bench

beforeAll(async () => {
  bench = await createBench()
})
afterAll(async () => {
  await bench?.close()
})

it(`${ROUNDS} rounds with seed ${SEED}`, { timeout: ROUNDS * ROUND_LIMIT_MS }, async () => {
  process.stdout.write(`chaos: ERRAND_CHAOS_SEED=${SEED} ERRAND_CHAOS_ROUNDS=${ROUNDS}\n`)
  const sessions: NoteSession[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const plan = drawPlan(SEED + round, SESSIONS)
    const startedAt = performance.now()
    try {
      await runRound(sessions, plan)
    } catch (error) {
      throw new Error(describeFailure(plan, round), { cause: error })
    }
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
    process.stdout.write(`chaos: round ${round} in ${seconds} s: ${JSON.stringify(plan)}\n`)
  }
})

function describeFailure(plan: Plan, round: number): string {
  return [
    `round ${round} failed: ${JSON.stringify(plan)}`,
    `again: ERRAND_CHAOS_SEED=${plan.seed} ERRAND_CHAOS_ROUNDS=1, or with what came before it`,
    `ERRAND_CHAOS_SEED=${SEED} ERRAND_CHAOS_ROUNDS=${round + 1}`,
    bench.errand.logged().slice(-20_000),
  ].join('\n')
}

async function runRound(sessions: NoteSession[], plan: Plan): Promise<void> {
  const orphans = watchOrphans(
    bench,
    (body) => sessions.find(({ notes }) => body.includes(`add the note ${notes[0]}"`))?.id,
  )
  const asked = performance.now()
  await Promise.all(Array.from({ length: SESSIONS }, (_, index) => ask(sessions, plan, index)))
  const target = sessions[plan.session] as NoteSession
  await untilMoment(target, plan, async () => {
    for (const session of sessions) session.mayRetry = endsSandboxOf(session, target, plan)
    await killing(sessions, async () => {
      if (plan.victim === 'everything') await cutPower(bench)
      else await kill(bench, plan.victim, target.id)
    })
  })
  if (plan.victim === 'everything') await bench.errand.startAgain()
  const settled = await Promise.allSettled(sessions.map((session) => settle(bench, session)))
  orphans.end()
  const failures = settled.flatMap((one) => (one.status === 'rejected' ? [String(one.reason)] : []))
  expect(failures.join('\n\n'), `after ${performance.now() - asked} ms`).toBe('')
  expect(orphans.found).toEqual([])
}

/** A sandbox that is ended while it is prepared fails with a reason, and somebody presses Retry. */
function endsSandboxOf(session: NoteSession, target: NoteSession, { victim }: Plan): boolean {
  return victim === 'everything' || (session === target && isInside(victim))
}

async function ask(sessions: NoteSession[], plan: Plan, index: number): Promise<void> {
  const note = `n-${plan.seed}-${index}`
  const way = `${plan.ways[index]}add the note`
  const known = sessions[index]
  if (known && !plan.fresh[index]) {
    await eventually('an answer', () => askForNote(bench, known, note, way))
    return
  }
  sessions[index] = await startNote(bench, note, way)
  if (known) await bench.errand.client.removeSession(known.id)
}

/** Calls back at the moment, or at the end of the turn when that comes before. */
async function untilMoment(
  session: NoteSession,
  { moment }: Plan,
  act: () => Promise<void>,
): Promise<void> {
  const over = new AbortController()
  const ended = follow(
    session,
    (type) => /^(turn\.(completed|failed)|session\.failed)$/.test(type),
    over.signal,
  )
  const hold =
    moment.kind === 'push' ? await bench.forge.hold(session.branch, moment.point) : undefined
  const reached = hold ? hold.reached(over.signal) : momentOf(session, moment, over.signal)
  try {
    await Promise.race([reached, ended])
    await act()
  } finally {
    over.abort()
    await hold?.release()
    await Promise.allSettled([reached, ended])
  }
}

async function momentOf(session: NoteSession, moment: Moment, signal: AbortSignal): Promise<void> {
  if (moment.kind === 'push') return
  let left = moment.count
  if (moment.kind === 'event') {
    await follow(session, () => --left <= 0, signal)
    return
  }
  const reached = Promise.withResolvers<void>()
  const end = bench.watchModel(({ body }) => {
    if (body.includes(`add the note ${session.notes[0]}"`) && --left <= 0) reached.resolve()
  })
  signal.addEventListener('abort', () => reached.resolve(), { once: true })
  await reached.promise
  end()
}

async function follow(
  { id, lastSeq }: NoteSession,
  isIt: (type: string) => boolean,
  over: AbortSignal,
): Promise<void> {
  const signal = AbortSignal.any([over, AbortSignal.timeout(MOMENT_LIMIT_MS)])
  try {
    for await (const item of bench.errand.client.followEvents(id, { afterSeq: lastSeq, signal }))
      if (item.kind === 'event' && isIt(item.event.body.type)) return
  } catch (error) {
    if (!over.aborted) throw error
  }
}
