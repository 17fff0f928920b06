// Slots on a real database: however many programs begin work at once, never more sessions work than may.
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { createSilentLogger } from '../lib/logger.ts'
import { environmentSchema } from '../protocol/environment.ts'
import { createId } from '../protocol/ids.ts'
import { startTestDatabase, type TestDatabase } from '../store/postgres/database.fixture.ts'
import { createNotifications, type Notifications } from '../store/postgres/notifications.ts'
import type { Store } from '../store/store.ts'
import { type Admission, createAdmission } from './admission.ts'
import { createDispatch, type Dispatch, toNewEffect } from './dispatch.ts'
import { defaultRules } from './rules/decide.ts'

const CONCURRENCY = 3
/** So long that whatever happens was woken and did not find it by looking. */
const NEVER_MS = 600_000
const logger = createSilentLogger()
let database: TestDatabase
/** Each with connections of its own, as server and gateway have. */
let stores: Store[]
let programs: Dispatch[]
let notifications: Notifications
let counter = 0
const running: Admission[] = []

beforeAll(async () => {
  database = await startTestDatabase()
  stores = await Promise.all([database.openStore(), database.openStore()])
  const rules = { ...defaultRules, concurrency: CONCURRENCY }
  programs = stores.map((store) => createDispatch(store, rules))
  notifications = await createNotifications({ connection: database.connection, logger })
})
beforeEach(() => store().pool.query('delete from sessions'))
afterEach(() => Promise.all(running.splice(0).map((admission) => admission.close())))
afterAll(async () => {
  await notifications.close()
  await database.stop()
})

const store = () => stores[0] as Store
const program = (n = 0) => programs[n % programs.length] as Dispatch
const nextId = (kind: 'session' | 'turn') => {
  counter += 1
  return createId(kind, Uint8Array.of(...Buffer.from(`${counter}`.padStart(20, '0'))))
}

function create(n = 0, ownerId = 'ann') {
  const url = 'https://git.example/r.git'
  return program(n).create(nextId('session'), {
    ...{ type: 'session.create', ownerId, title: 'Fix it', driver: 'oci', mode: 'work' },
    repository: {
      source: { kind: 'remote', url, credentialId: null },
      ...{ name: 'r', url, baseBranch: null, commit: null, branch: 'errand/fix-it' },
    },
    environment: environmentSchema.parse({ id: `e_${'a'.repeat(20)}`, name: 'Default' }),
    ...{ model: null, turnId: nextId('turn'), kind: 'agent', text: 'fix it' },
  })
}

function startAdmission(n = 0) {
  const directory = (stores[n] as Store).sessions
  const deps = { directory, dispatch: program(n), logger }
  const admission = createAdmission(deps, { concurrency: CONCURRENCY, pollMs: NEVER_MS })
  running.push(admission)
  return admission
}

/** Resolves once it is so; looks again at each change of the load. */
async function until(fits: (load: Awaited<ReturnType<typeof read>>) => boolean) {
  const { promise, resolve } = Promise.withResolvers<void>()
  const look = async () => {
    if (fits(await read())) resolve()
  }
  const stop = notifications.onLoad(() => void look())
  await look()
  await promise
  stop()
}

async function read() {
  const { working, queued } = await store().sessions.readLoad()
  return { working: working.map(({ id }) => id), queued: queued.map(({ id }) => id) }
}

test('many sessions that are made at once by two programs are never more than may work', async () => {
  const made = await Promise.all(Array.from({ length: 24 }, (_, n) => create(n)))
  const status = (wanted: string) => made.filter((state) => state.status === wanted).length
  expect([status('working'), status('queued')]).toEqual([CONCURRENCY, 21])
  const { working, queued } = await read()
  expect([working.length, queued.length]).toEqual([CONCURRENCY, 21])
})

test('what becomes free goes to the longest waiting, woken by the end of another', async () => {
  const made = []
  for (let n = 0; n < 6; n++) made.push(await create(n))
  const ids = made.map(({ id }) => id)
  const admissions = [startAdmission(0), startAdmission(1)]
  const stops = admissions.map(({ wake }) => notifications.onLoad(wake))
  expect((await read()).queued).toEqual(ids.slice(3))
  await program().command(ids[1] ?? '', { type: 'session.stop' })
  await until(({ working }) => working.includes(ids[3] ?? ''))
  expect((await read()).queued).toEqual(ids.slice(4))
  await store().sessions.remove(ids[0] ?? '', toNewEffect({ kind: 'session.remove' }))
  await until(({ working }) => working.includes(ids[4] ?? ''))
  await program(1).command(ids[5] ?? '', { type: 'session.archive' })
  await until(({ queued }) => queued.length === 0)
  expect((await read()).working.toSorted()).toEqual([ids[2], ids[3], ids[4]].toSorted())
  for (const stop of stops) stop()
})

test('a slot that was freed and not told of is found by looking', async () => {
  for (let n = 0; n < 4; n++) await create()
  const { working, queued } = await read()
  await store().sessions.remove(working[0] ?? '', toNewEffect({ kind: 'session.remove' }))
  const deps = { directory: store().sessions, dispatch: program(), logger }
  running.push(createAdmission(deps, { concurrency: CONCURRENCY, pollMs: 20 }))
  await until((load) => load.working.includes(queued[0] ?? ''))
})

test('owners take turns', async () => {
  for (let n = 0; n < 6; n++) await create(n, 'ann')
  const bob = await create(0, 'bob')
  const { working, queued } = await read()
  expect(queued.at(-1)).toBe(bob.id)
  await program().command(working[0] ?? '', { type: 'session.stop' })
  startAdmission()
  await until((load) => load.working.includes(bob.id))
})

test('one that cannot be read holds up nobody', async () => {
  for (let n = 0; n < 5; n++) await create(n)
  const { working, queued } = await read()
  await store().pool.query("update sessions set state = '{}' where id = $1", [queued[0]])
  await program().command(working[0] ?? '', { type: 'session.stop' })
  startAdmission()
  await until((load) => load.working.includes(queued[1] ?? ''))
})

test('turns that end and begin at random in two programs keep the bound, and nobody is left waiting', async () => {
  const made = await Promise.all(Array.from({ length: 12 }, (_, n) => create(n, `owner${n % 3}`)))
  const admissions = [startAdmission(0), startAdmission(1)]
  let most = 0
  const stops = [
    ...admissions.map(({ wake }) => notifications.onLoad(wake)),
    notifications.onLoad(() => {
      void read().then(({ working }) => {
        most = Math.max(most, working.length)
      })
    }),
  ]
  const work = async ({ id }: { id: string }, n: number) => {
    for (let turn = 0; turn < 3; turn++) {
      await until(({ working }) => working.includes(id))
      const { state } = await program(n).runnerState(id)
      const turnId = state.turn?.id ?? ''
      const next = { type: 'turn.submit', turnId: nextId('turn'), kind: 'agent' } as const
      if (turn < 2) await program(n + 1).command(id, { ...next, text: 'more' })
      const ended = { type: 'turn.completed', turnId, exitCode: null, durationMs: 1 } as const
      await program(n).command(id, { type: 'runner.report', report: ended })
    }
  }
  await Promise.all(made.map(work))
  for (const stop of stops) stop()
  expect(most).toBe(CONCURRENCY)
  expect(await read()).toEqual({ working: [], queued: [] })
})
