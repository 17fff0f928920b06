// Work trees as layers on a real database: made once, behind the back of a session, and never in the way of one.
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { createSilentLogger } from '../../lib/logger.ts'
import { environmentSchema } from '../../protocol/environment.ts'
import { createId } from '../../protocol/ids.ts'
import { startTestDatabase, type TestDatabase } from '../../store/postgres/database.fixture.ts'
import { createNotifications, type Notifications } from '../../store/postgres/notifications.ts'
import type { Store } from '../../store/store.ts'
import { type CheckoutLayersDeps, createCheckoutLayers } from './checkout-layers.ts'

let database: TestDatabase
let store: Store
let notifications: Notifications
const logger = createSilentLogger()
const { signal } = new AbortController()

let started: string[]
let kept: Set<string>
let files: number
/** By commit: how many files lie between it and what is asked for. */
let distances: Record<string, number>
let exitCode: number | null
let name: string

beforeAll(async () => {
  database = await startTestDatabase()
  store = await database.openStore()
  notifications = await createNotifications({ connection: database.connection, logger })
})
afterAll(async () => {
  await notifications.close()
  await database.stop()
})
beforeEach(() => {
  started = []
  kept = new Set()
  files = 1_000
  distances = {}
  exitCode = 0
  name = `repository-${randomBytes(4).toString('hex')}`
})

function checkouts(change: Partial<CheckoutLayersDeps> = {}) {
  return createCheckoutLayers(
    {
      store: store.layers,
      sandboxes: {
        identify: async () => 'image',
        startLayer: async ({ sandboxId, environment }) => {
          expect(environment).toMatchObject({ image: { kind: 'host' }, variables: {} })
          started.push(sandboxId)
          await store.layers.report(sandboxId, { n: 1, ended: { exitCode } })
        },
        keepLayer: async (_sandboxId, layerId) => {
          kept.add(layerId)
          return 10
        },
        hasLayer: async (layerId) => kept.has(layerId),
        remove: async () => undefined,
        list: async () => [],
      },
      doors: { open: async () => undefined, close: async () => undefined },
      git: {
        countFiles: async () => ({ files }),
        nearest: async ({ commit, candidates }) => {
          const known = candidates
            .map((one) => ({ commit: one, changed: one === commit ? 0 : distances[one] }))
            .filter((one): one is { commit: string; changed: number } => one.changed !== undefined)
          return { nearest: known.sort((a, b) => a.changed - b.changed)[0] ?? null }
        },
      },
      getSession: async () => ({ sandbox: { state: 'ready' } as never }),
      onReport: notifications.onLayer,
      logger,
      ...change,
    },
    { leastFiles: 1_000 },
  )
}

const environment = environmentSchema.parse({
  id: createId('environment', randomBytes(20)),
  name: 'mine',
  setup: 'make',
  variables: { SECRET: 'of the environment' },
})

function session(ownerId = 'ann') {
  const repository = { url: 'https://forge.example/a', name } as never
  return { id: createId('session', randomBytes(20)), ownerId, repository, environment }
}

/** Resolves when whatever was wanted is over; two sessions want it at once. */
async function wanted(commit: string): Promise<void> {
  const made = checkouts()
  made.want(session(), commit)
  made.want(session(), commit)
  await made.settled()
}

const stateOf = async (commit: string) =>
  (await store.layers.list()).find(
    ({ checkout }) => checkout?.name === name && checkout.commit === commit,
  )?.state

const find = (commit: string, ownerId = 'ann', one = checkouts()) =>
  one.find(session(ownerId), async () => commit, signal)

async function make(commit: string): Promise<void> {
  const before = started.length
  await wanted(commit)
  expect(started).toHaveLength(before + 1)
}

it('is made once behind the back of a session, of its owner, repository and commit', async () => {
  expect(await find('c1')).toEqual([])
  await make('c1')
  const [layerId = ''] = await find('c1')
  expect(kept).toEqual(new Set([layerId]))
  const row = await store.layers.get(layerId)
  expect(row).toMatchObject({ ownerId: 'ann', checkout: { name, commit: 'c1' }, recipe: null })
  expect(await find('c1', 'bob')).toEqual([])
  await wanted('c1')
  expect(started).toHaveLength(1)
})

it('is given to a later commit, and made anew only when much has changed', async () => {
  await make('c1')
  const layers = await find('c1')
  distances = { c1: 100 }
  expect(await find('c2')).toEqual(layers)
  await wanted('c2')
  expect(started).toHaveLength(1)
  distances = { c1: 101 }
  await make('c3')
  expect(await find('c3')).not.toEqual(layers)
  distances = {}
  expect(await find('beside')).toEqual([])
})

it('is not made of a small repository, and not tried again at once where it failed', async () => {
  files = 999
  await wanted('c1')
  files = 1_000
  exitCode = 1
  await wanted('c1')
  expect(started).toHaveLength(1)
  expect(await stateOf('c1')).toBe('failed')
  exitCode = 0
  await wanted('c1')
  expect(started).toHaveLength(1)
  expect(await find('c1')).toEqual([])
})

it('waits until the session is prepared, and fails none', async () => {
  let state = 'preparing'
  let asked = 0
  const getSession = async () => {
    asked += 1
    return { sandbox: { state } as never }
  }
  let counted = 0
  const countFiles = async () => {
    counted += 1
    return { files }
  }
  const nearest = async () => ({ nearest: null })
  const made = checkouts({ getSession, git: { countFiles, nearest } })
  made.want(session(), 'c1')
  await expect.poll(() => asked).toBeGreaterThan(1)
  // A list of all files beside the session's own start would slow that down.
  expect({ started, counted }).toEqual({ started: [], counted: 0 })
  state = 'ready'
  await made.settled()
  expect(await stateOf('c1')).toBe('ready')
  const refuse = () => Promise.reject(new Error('gitd is gone'))
  const broken = checkouts({ git: { countFiles: refuse, nearest: refuse } })
  expect(await find('c1', 'ann', broken)).toEqual([])
  broken.want(session(), 'c2')
  await broken.close()
})

it('is not waited for by what is let go, and forgotten once its files are gone', async () => {
  await make('c1')
  const letGo = new AbortController()
  const asked = checkouts().find(session(), () => new Promise(() => undefined), letGo.signal)
  letGo.abort(new Error('another sandbox is asked for'))
  await expect(asked).rejects.toThrow('another sandbox')
  kept.clear()
  expect(await find('c1')).toEqual([])
  expect(await stateOf('c1')).toBe('stale')
})
