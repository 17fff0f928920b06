// What a worker still does that was frozen in the middle of an effect and taken over meanwhile: nothing. Being frozen is
// played by work that waits and by a clock that jumps; test/faults/take-over.test.ts freezes real programs.
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createSilentLogger } from '../lib/logger.ts'
import { AppError } from '../protocol/errors.ts'
import type { SessionState } from '../protocol/session.ts'
import type { EffectQueue } from '../store/effects.ts'
import { startTestDatabase, type TestDatabase } from '../store/postgres/database.fixture.ts'
import { IDLE_IN_TRANSACTION_TIMEOUT_MS } from '../store/postgres/database.ts'
import type { Store } from '../store/store.ts'
import { createDispatch, type Dispatch } from './dispatch.ts'
import type { EffectPorts } from './effects.ts'
import { defaultRules } from './rules/decide.ts'
import { exampleId, exampleSession } from './starting/new-session.fixture.ts'
import { createWorker, WORKER_PACE } from './worker.ts'

const TAKEN_OVER_WITHIN_MS = 45_000
const FROZEN_MS = WORKER_PACE.leaseMs + 1_000

let database: TestDatabase
let store: Store
/** The same database at the time after the freeze. */
let later: Store
let dispatch: Dispatch
let counter = 0
const logger = createSilentLogger()

beforeAll(async () => {
  database = await startTestDatabase()
  store = await database.openStore()
  later = await database.openStore({ clock: () => new Date(Date.now() + FROZEN_MS) })
  dispatch = createDispatch(store, defaultRules)
})
afterAll(() => database.stop())

function createSession(): Promise<SessionState> {
  counter++
  return dispatch.create(exampleId('session', counter), exampleSession(counter))
}

/** A place in the work that holds who comes there until it is let go. */
function gate() {
  const reached = Promise.withResolvers<void>()
  const open = Promise.withResolvers<void>()
  const pass = async () => {
    reached.resolve()
    await open.promise
  }
  return { pass, reached: reached.promise, open: () => open.resolve() }
}

interface Outside {
  done: string[]
  ports: EffectPorts
}

/** Writes down what is done outside; `before` is called before the answer to each. */
function outside(name: string, before: (step: string) => Promise<void> = async () => {}): Outside {
  const done: string[] = []
  const step = async (what: string) => {
    done.push(`${name}: ${what}`)
    await before(what)
  }
  const counts = { commit: 'c0ffee', filesChanged: 0, insertions: 0, deletions: 0 }
  const ports: EffectPorts = {
    repositories: {
      prepare: () => step('prepare').then(() => ({ commit: 'c0ffee', baseBranch: 'main' })),
      measure: () => step('measure').then(() => counts),
      forward: () => step('forward').then(() => ({ commit: 'c0ffee' })),
      remove: () => step('remove repository'),
    },
    sandboxes: {
      start: () => step('start').then(() => 'container'),
      startAhead: () => step('start ahead'),
      has: async () => false,
      hasImage: async () => true,
      isWorking: () => step('watch').then(() => false),
      stop: () => step('stop'),
      remove: () => step('remove'),
      list: async () => [],
    },
    doors: { open: () => step('open'), close: () => step('close') },
    layers: { find: async () => [] },
    checkouts: { has: async () => false, find: async () => [], want: () => undefined },
    report: (id, command) => dispatch.command(id, command),
  }
  return { done, ports }
}

/** Takes one effect with what happens in `getSession` and outside; `over` resolves when it is done with it. */
function startZombie(given: Outside, getSession = store.sessions.get) {
  const over = Promise.withResolvers<void>()
  let jumpMs = 0
  let claimed = false
  const claim: EffectQueue['claim'] = async (wanted) => {
    if (claimed) over.resolve()
    const effect = claimed ? undefined : await store.effects.claim(wanted)
    claimed ||= effect !== undefined
    return effect
  }
  const deps = { effects: { ...store.effects, claim }, dispatch, ports: given.ports, logger }
  const pace = { ...WORKER_PACE, pollMs: 50, now: () => Date.now() + jumpMs }
  const worker = createWorker({ ...deps, getSession }, { workerId: 'zombie', ...pace })
  return {
    thaw: () => {
      jumpMs = FROZEN_MS
    },
    over: () => over.promise.then(() => worker.close()),
  }
}

/** Works at the time after the freeze. */
function startHeir({ ports }: Outside) {
  const { effects, sessions } = later
  const deps = { effects, dispatch, ports, getSession: sessions.get, logger }
  const pace = { ...WORKER_PACE, pollMs: 50, now: () => Date.now() + FROZEN_MS }
  return createWorker(deps, { workerId: 'heir', ...pace })
}

async function until(id: string, fits: (state: SessionState) => boolean): Promise<SessionState> {
  for (;;) {
    const state = await store.sessions.get(id)
    if (state && fits(state)) return state
  }
}

/** What is let go of is put back, and would be done by the next test. */
async function settled(id: string): Promise<void> {
  for (;;) if ((await store.effects.list(id)).every(({ state }) => state === 'done')) return
}

const isStarted = ({ sandbox: { phases }, repository }: SessionState) =>
  repository.commit !== null &&
  phases.some(({ name }) => name === 'sandbox') &&
  phases.every(({ state }) => state === 'completed')

const typesOf = async (id: string) =>
  (await store.readEvents(id, { afterSeq: 0, limit: 100 })).events.map(({ body }) => body.type)

it('is taken over in time, whatever the moment at which it was frozen', () => {
  const { leaseMs, pollMs } = WORKER_PACE
  expect(leaseMs + pollMs).toBeLessThan(TAKEN_OVER_WITHIN_MS)
  expect(IDLE_IN_TRANSACTION_TIMEOUT_MS).toBeLessThan(leaseMs)
})

it('counts the tries of each piece of work for itself', async () => {
  const { id } = await createSession()
  const left: Record<string, number> = { prepare: 2, open: 2 }
  const failing = outside('worker', async (step) => {
    left[step] = (left[step] ?? 0) - 1
    if ((left[step] ?? 0) >= 0) throw new AppError('unavailable', 'no_answer', 'No answer.')
  })
  const worker = startHeir(failing)
  await until(id, isStarted)
  await settled(id)
  await worker.close()
  expect(failing.done.filter((step) => step.endsWith('prepare'))).toHaveLength(3)
  expect(failing.done.filter((step) => step.endsWith('open'))).toHaveLength(3)
})

it('begins nothing when it was frozen right after its claim', async () => {
  const { id } = await createSession()
  const frozen = gate()
  const zombie = outside('zombie')
  const zombieWorker = startZombie(zombie, async (asked) => {
    const state = await store.sessions.get(asked)
    await frozen.pass()
    return state
  })
  await frozen.reached
  const heir = outside('heir')
  const heirWorker = startHeir(heir)
  await until(id, isStarted)
  const before = await typesOf(id)
  zombieWorker.thaw()
  frozen.open()
  await zombieWorker.over()
  await heirWorker.close()
  expect(zombie.done).toEqual([])
  expect(heir.done.sort()).toEqual(['heir: open', 'heir: prepare', 'heir: start'])
  expect(await typesOf(id)).toEqual(before)
  expect(before.filter((type) => type === 'phase.started')).toHaveLength(2)
})

it('closes no door that the next preparation has opened', async () => {
  const { id } = await createSession()
  const first = startHeir(outside('first'))
  await until(id, isStarted)
  await first.close()
  await dispatch.command(id, { type: 'session.stop' })
  const frozen = gate()
  const zombie = outside('zombie', (step) => (step === 'stop' ? frozen.pass() : Promise.resolve()))
  const zombieWorker = startZombie(zombie)
  await frozen.reached
  const heir = outside('heir')
  const heirWorker = startHeir(heir)
  await until(id, ({ sandbox }) => sandbox.state === 'stopped')
  const turnId = exampleId('turn', 100)
  await dispatch.command(id, { type: 'turn.submit', turnId, kind: 'agent', text: 'go on' })
  await until(id, (state) => state.sandbox.generation === 2 && isStarted(state))
  zombieWorker.thaw()
  frozen.open()
  await zombieWorker.over()
  await heirWorker.close()
  expect(zombie.done).toEqual(['zombie: stop'])
  expect(heir.done).toEqual(['heir: stop', 'heir: close', 'heir: open', 'heir: start'])
})
