// On a real database, with sandboxes that the test only counts.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createSilentLogger } from '../lib/logger.ts'
import { type Environment, environmentSchema } from '../protocol/environment.ts'
import { createId } from '../protocol/ids.ts'
import { startTestDatabase, type TestDatabase } from '../store/postgres/database.fixture.ts'
import type { Store } from '../store/store.ts'
import { createDispatch } from './dispatch.ts'
import { defaultRules } from './rules/decide.ts'
import { createStandbys, type Standbys } from './standbys.ts'

let database: TestDatabase
let store: Store
let environment: Environment
const logger = createSilentLogger()
const running = new Set<string>()
const withAgent = new Set<string>()
const doors = new Set<string>()
/** Between what the database and what sandboxd says of them. */
let onLook = async () => {}
let refuses = false
let refusals = 0
const open: Standbys[] = []

beforeAll(async () => {
  database = await startTestDatabase()
  store = await database.openStore()
  environment = await store.environments.ensureDefault('ann')
})
beforeEach(async () => {
  for (const standbys of open.splice(0)) await standbys.close()
  for (const { sessionId } of await store.standbys.list()) await store.standbys.remove(sessionId)
  running.clear()
  doors.clear()
  refuses = false
  onLook = async () => {}
  layers = []
})
afterAll(async () => {
  for (const standbys of open) await standbys.close()
  await database.stop()
})

/** What is ready for the environment; undefined when something has to be made first. */
let layers: string[] | undefined = []

function start(count = 1, agents = 1): Standbys {
  const standbys = createStandbys(
    {
      store: store.standbys,
      directory: store.sessions,
      environments: store.environments,
      layers: { ready: async () => layers },
      sandboxes: {
        startAhead: async ({ id, hasAgent }) => {
          if (refuses) {
            refusals += 1
            throw new Error('no room')
          }
          running.add(id)
          if (hasAgent) withAgent.add(id)
          // As the gateway does once the agent waits.
          await store.standbys.markReady(id)
        },
        remove: async (id) => {
          running.delete(id)
        },
        list: async () => {
          await onLook()
          return [...running].map((sessionId) => ({ sessionId, running: true, message: '' }))
        },
      },
      doors: {
        open: async (id) => {
          doors.add(id)
        },
        close: async (id) => {
          doors.delete(id)
        },
      },
      logger,
    },
    { count, agents, ownerId: 'ann', driver: 'oci', lookMs: 5 },
  )
  open.push(standbys)
  return standbys
}

const ready = async (standbys: Standbys, count = 1) =>
  await expect.poll(async () => (await standbys.counts()).ready).toBe(count)
const wanted = (change: Partial<Environment> = {}, ownerId = 'ann') => ({
  ownerId,
  driver: 'oci',
  environment: { ...environment, ...change },
  kind: 'agent' as const,
})

describe('sandboxes that wait', () => {
  it('are made for the default environment, taken once, and replaced', async () => {
    const standbys = start()
    await ready(standbys)
    const both = await Promise.all([standbys.take(wanted()), standbys.take(wanted())])
    // The second one may get the replacement, when that is there already; never the same.
    const taken = both.filter((id) => id !== undefined)
    expect(taken).not.toEqual([])
    expect(new Set(taken).size).toBe(taken.length)
    for (const id of taken) {
      expect(running).toContain(id)
      expect(doors).toContain(id)
    }
    await ready(standbys)
    expect(running.size).toBe(taken.length + 1)
  })

  it('have an agent or not, and go to who needs one or not as long as there are both', async () => {
    const standbys = start(2, 1)
    await ready(standbys, 2)
    const has = (id: string | undefined) => withAgent.has(id ?? '')
    expect(has(await standbys.take({ ...wanted(), kind: 'command' }))).toBe(false)
    await ready(standbys, 2)
    expect([...running].map(has).toSorted()).toEqual([false, false, true])
    expect(has(await standbys.take(wanted()))).toBe(true)
  })

  it('are never taken by another owner or for another environment', async () => {
    const standbys = start()
    await ready(standbys)
    expect(await standbys.take(wanted({}, 'bob'))).toBeUndefined()
    expect(await standbys.take(wanted({ variables: { COLOUR: 'red' } }))).toBeUndefined()
    const { limits } = environment
    expect(await standbys.take(wanted({ limits: { ...limits, cpus: 1 } }))).toBeUndefined()
    const network = { level: 'full' as const, domains: [], includeTrusted: false }
    expect(await standbys.take(wanted({ network }))).toBeDefined()
  })

  it('follow what was used last', async () => {
    const standbys = start()
    await ready(standbys)
    const [before] = running
    const changed = environmentSchema.parse({ ...environment, variables: { COLOUR: 'red' } })
    await createSession(store, changed)
    await expect.poll(() => running.has(before ?? '')).toBe(false)
    await ready(standbys)
    expect(await standbys.take(wanted({ variables: { COLOUR: 'red' } }))).toBeDefined()
  })

  it('are made from the layer of their environment, and only once it is ready', async () => {
    layers = undefined
    const standbys = start()
    expect(await standbys.take(wanted())).toBeUndefined()
    layers = ['old']
    await ready(standbys)
    const [old] = running
    layers = undefined
    expect(await standbys.take(wanted())).toBeUndefined()
    await expect.poll(() => running.size).toBe(0)
    layers = ['new']
    await ready(standbys)
    expect(await standbys.take(wanted())).not.toBe(old)
  })

  it('are replaced when they died', async () => {
    const standbys = start()
    await ready(standbys)
    const [died] = running
    running.clear()
    await expect.poll(() => running.size).toBe(1)
    expect(running).not.toContain(died)
    await expect.poll(() => doors.has(died ?? '')).toBe(false)
  })

  it('of an earlier start are taken away first, but not from a session that has one', async () => {
    const idOf = (n: number) => createId('session', new Uint8Array(20).fill(n))
    const [left, taken] = [idOf(7), idOf(8)]
    const used = await takenBySession()
    const made = { ownerId: 'ann', recipe: 'old', hasAgent: true }
    for (const sessionId of [left, taken]) await store.standbys.add({ sessionId, ...made })
    // By a server that died before it had made the session.
    await store.standbys.markReady(taken)
    expect(await store.standbys.take(made)).toBe(taken)
    for (const id of [left, taken, used]) running.add(id)
    const standbys = start(0)
    await expect.poll(async () => (await store.standbys.list()).length).toBe(0)
    await expect.poll(() => [...running]).toEqual([used])
    expect(await standbys.take(wanted())).toBeUndefined()
  })

  it('stay with who takes one while it is found that another kind is wanted', async () => {
    const standbys = start()
    await ready(standbys)
    let taken: string | undefined
    onLook = async () => {
      if (taken !== undefined) return
      layers = []
      taken = await standbys.take(wanted())
      layers = ['other']
    }
    layers = ['other']
    await expect.poll(() => taken).toBeDefined()
    await ready(standbys)
    expect(running).toContain(taken)
    expect(doors).toContain(taken)
  })

  it('end with the server, but for those that a session has', async () => {
    const standbys = start()
    await ready(standbys)
    const taken = await standbys.take(wanted())
    await ready(standbys)
    await standbys.close()
    expect([...running]).toEqual([taken])
    expect([...doors]).toEqual([taken])
  })

  it('leave nothing behind when they cannot be made', async () => {
    refuses = true
    start()
    await expect.poll(() => refusals).toBe(1)
    await expect.poll(() => doors.size).toBe(0)
    expect(await store.standbys.list()).toEqual([])
    expect(running.size).toBe(0)
  })
})

async function takenBySession(): Promise<string> {
  const { id, ownerId } = await createSession(store, environment)
  const standby = { ownerId, recipe: 'r', hasAgent: true }
  await store.standbys.add({ sessionId: id, ...standby })
  await store.standbys.markReady(id)
  await store.standbys.take(standby)
  return id
}

let counter = 100
async function createSession(into: Store, of: Environment) {
  const bytes = new Uint8Array(20).fill(counter++)
  const dispatch = createDispatch(into, defaultRules)
  const url = 'https://git.example/r.git'
  const source = { kind: 'remote' as const, url, credentialId: null }
  const state = await dispatch.create(createId('session', bytes), {
    type: 'session.create',
    ownerId: 'ann',
    title: 'Fix it',
    repository: { source, name: 'r', url, baseBranch: null, commit: null, branch: 'errand/x' },
    environment: of,
    driver: 'oci',
    mode: 'work',
    model: null,
    turnId: createId('turn', bytes),
    kind: 'agent',
    text: 'fix it',
  })
  await dispatch.command(state.id, { type: 'session.stop' })
  await dispatch.command(state.id, { type: 'sandbox.stopped', generation: 1, why: 'user' })
  return state
}
