// The making of layers on a real database: once for whoever needs it, told to those who waited, and never poisoned.
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { createSilentLogger } from '../../lib/logger.ts'
import { type Environment, environmentSchema } from '../../protocol/environment.ts'
import { createId } from '../../protocol/ids.ts'
import type { Phase } from '../../protocol/session.ts'
import { startTestDatabase, type TestDatabase } from '../../store/postgres/database.fixture.ts'
import { createNotifications, type Notifications } from '../../store/postgres/notifications.ts'
import type { Store } from '../../store/store.ts'
import { createLayers, type LayersDeps } from './layers.ts'

let database: TestDatabase
let store: Store
let notifications: Notifications
const logger = createSilentLogger()

/** What runs, what is kept, and how the next script ends. */
let running: Set<string>
let kept: Set<string>
let opened: Set<string>
let script: (sandboxId: string) => Promise<unknown>
let environment: Environment

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
  running = new Set()
  kept = new Set()
  opened = new Set()
  script = ends(0)
  const id = createId('environment', randomBytes(20))
  environment = environmentSchema.parse({ id, name: 'mine', setup: 'make' })
})

const ends =
  (exitCode: number | null, lines = ['at work']) =>
  async (sandboxId: string) => {
    await store.layers.report(sandboxId, { n: 1, lines })
    await store.layers.report(sandboxId, { n: 2, ended: { exitCode } })
  }

function layers(change: Partial<LayersDeps['sandboxes']> = {}) {
  return createLayers({
    store: store.layers,
    sandboxes: {
      identify: async () => 'image',
      startLayer: async ({ sandboxId }) => {
        running.add(sandboxId)
        void script(sandboxId)
      },
      keepLayer: async (_sandboxId, layerId) => {
        kept.add(layerId)
        return 10
      },
      hasLayer: async (layerId) => kept.has(layerId),
      remove: async (sandboxId) => {
        running.delete(sandboxId)
      },
      list: async () =>
        [...running].map((sessionId) => ({ sessionId, running: true, message: '' })),
      ...change,
    },
    doors: {
      open: async (sandboxId) => {
        opened.add(sandboxId)
      },
      close: async (sandboxId) => {
        opened.delete(sandboxId)
      },
    },
    readInputs: async () => [],
    onReport: notifications.onLayer,
    logger,
  })
}

/** Since when the session has waited, if it has. */
function ask(found = layers(), waitingSince?: Date, signal = new AbortController().signal) {
  const lines: string[] = []
  const phase = { name: 'environment', startedAt: waitingSince?.toISOString() ?? '' } as Phase
  const sandbox = { state: 'preparing' as const, generation: 1, isolation: null }
  const asked = found.find({
    state: {
      ...{ id: createId('session', randomBytes(20)), ownerId: 'ann' },
      sandbox: { ...sandbox, phases: waitingSince ? [phase] : [] } as never,
    },
    ...{ environment, reach: environment.image },
    commit: async () => 'c0ffee',
    hold: { signal, assertHeld: async () => signal.throwIfAborted() },
    onLine: (line) => lines.push(line),
  })
  return { asked, lines }
}

const nothingIsLeft = () => expect([running.size, opened.size]).toEqual([0, 0])

it('is made once, and used by whoever comes later', async () => {
  const first = ask()
  const [layerId = ''] = await first.asked
  expect(first.lines).toEqual(['at work'])
  nothingIsLeft()
  script = () => Promise.reject(new Error('made twice'))
  expect(await ask().asked).toEqual([layerId])
  expect(await layers().ready('ann', environment)).toEqual([layerId])
  expect(await layers().ready('bob', environment)).toBeUndefined()
})

it('is made once more where its image was replaced meanwhile: it does not fit the new one', async () => {
  environment = { ...environment, image: { kind: 'named', name: 'mine' } }
  let version = 'old'
  const asked = ask(layers({ identify: async () => version }))
  script = (id) => {
    version = 'new'
    return ends(0)(id)
  }
  const [layerId = ''] = await asked.asked
  expect(kept.size).toBe(2)
  expect(asked.lines).toContainEqual(expect.stringContaining('The image was replaced'))
  expect(await layers({ identify: async () => 'new' }).ready('ann', environment)).toEqual([layerId])
  const stale = await layers({ identify: async () => 'old' }).ready('ann', environment)
  expect(stale).not.toEqual([layerId])
})

it('puts off who comes while it is made', async () => {
  const { promise, resolve } = Promise.withResolvers<void>()
  script = (id) => promise.then(() => ends(0)(id))
  const first = ask()
  await expect.poll(() => running.size).toBe(1)
  await expect(ask().asked).rejects.toMatchObject({ reason: 'layer_building', code: 'unavailable' })
  resolve()
  expect(await ask(layers(), new Date()).asked.catch(() => first.asked)).toEqual(await first.asked)
})

it('tells a failure to those who waited for it, and to nobody else', async () => {
  const since = new Date()
  script = ends(3, ['a', 'b', 'c', 'd', 'e', 'last words'])
  const failed = {
    reason: 'setup_failed',
    message: expect.stringMatching(/code 3\. b[\s\S]*last words/),
  }
  await expect(ask().asked).rejects.toMatchObject(failed)
  nothingIsLeft()
  await expect(ask(layers(), since).asked).rejects.toMatchObject(failed)
  script = ends(0)
  expect(await ask().asked).toHaveLength(1)
  expect(await ask(layers(), since).asked).toHaveLength(1)
})

it('says that a script took too long, or that its sandbox ended', async () => {
  script = ends(null)
  await expect(ask().asked).rejects.toMatchObject({ reason: 'setup_timed_out' })
  script = async (id) => running.delete(id)
  await expect(ask().asked).rejects.toMatchObject({ reason: 'setup_sandbox_ended' })
  nothingIsLeft()
})

it('leaves nothing behind when it is let go, and is then begun anew', async () => {
  script = () => Promise.resolve()
  const letGo = new AbortController()
  const { asked } = ask(layers(), undefined, letGo.signal)
  await expect.poll(() => running.size).toBe(1)
  letGo.abort(new Error('the session was stopped'))
  await expect(asked).rejects.toThrow('stopped')
  nothingIsLeft()
  script = ends(0)
  expect(await ask().asked).toHaveLength(1)
})

it('is taken over from a maker that died', async () => {
  const claim = {
    ...{ ownerId: 'ann', environmentId: environment.id, recipe: { environment, files: [] } },
    ...{ key: 'k', holder: 'dead', leaseMs: -1, notBefore: new Date(0), waitingSince: undefined },
  }
  const ids = () => ({
    layerId: createId('layer', randomBytes(20)),
    sandboxId: createId('session', randomBytes(20)),
  })
  const dead = await store.layers.claim({ ...claim, ids: ids() })
  const next = await store.layers.claim({ ...claim, holder: 'next', leaseMs: 60_000, ids: ids() })
  expect([dead.claimed, next.claimed]).toEqual([true, true])
  expect(await store.layers.finish(dead.layer.id, 'dead', 1)).toBe(false)
  expect(await store.layers.findBuilding(dead.layer.sandboxId ?? '')).toBeUndefined()
  expect(await store.layers.finish(next.layer.id, 'next', 1)).toBe(true)
})

it('is made anew by hand, when its files are gone, and after a rebuild only once', async () => {
  const [first] = await ask().asked
  expect(await store.layers.markStale({ ownerId: 'ann', environmentId: environment.id })).toBe(1)
  const [second] = await ask().asked
  expect(second).not.toBe(first)
  kept.clear()
  const [third] = await ask().asked
  expect(third).not.toBe(second)
  expect(await ask().asked).toEqual([third])
})

it('is made anew after seven days', async () => {
  const [first] = await ask().asked
  const age = (interval: string) =>
    store.pool.query(`update layers set made_at = now() - interval '${interval}'`)
  await age('6 days 23 hours')
  expect(await ask().asked).toEqual([first])
  await age('7 days 1 minute')
  expect(await layers().ready('ann', environment)).toBeUndefined()
  expect(await ask().asked).not.toEqual([first])
})

it('is not made where its sandbox cannot be: the next one tries again', async () => {
  const refusing = layers({ startLayer: () => Promise.reject(new Error('no room')) })
  await expect(ask(refusing).asked).rejects.toThrow('no room')
  nothingIsLeft()
  expect(await ask().asked).toHaveLength(1)
})
