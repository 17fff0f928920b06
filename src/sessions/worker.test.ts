// The worker on a real database, with ports that do what the test says.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSilentLogger } from '../lib/logger.ts'
import type { Command } from '../protocol/command.ts'
import { environmentSchema } from '../protocol/environment.ts'
import { AppError } from '../protocol/errors.ts'
import { createId } from '../protocol/ids.ts'
import type { SessionState } from '../protocol/session.ts'
import { startTestDatabase, type TestDatabase } from '../store/postgres/database.fixture.ts'
import { createNotifications, type Notifications } from '../store/postgres/notifications.ts'
import type { Store } from '../store/store.ts'
import { createClock, reconcile } from './clock.ts'
import { createDispatch, type Dispatch, toNewEffect } from './dispatch.ts'
import type { EffectPorts } from './effects.ts'
import { defaultRules } from './rules/decide.ts'
import { createWorker, type Worker, type WorkerOptions } from './worker.ts'

let database: TestDatabase
let store: Store
let notifications: Notifications
let dispatch: Dispatch
let counter = 0
const logger = createSilentLogger()

beforeAll(async () => {
  database = await startTestDatabase()
  store = await database.openStore()
  notifications = await createNotifications({ connection: database.connection, logger })
  dispatch = createDispatch(store, defaultRules)
})
afterAll(async () => {
  await notifications.close()
  await database.stop()
})

const nextId = (kind: 'session' | 'turn' | 'environment') => {
  counter++
  return createId(
    kind,
    Uint8Array.from({ length: 20 }, (_, index) => counter >> (5 * (index % 2))),
  )
}

async function createSession(): Promise<SessionState> {
  const url = 'https://git.example/r.git'
  return dispatch.create(nextId('session'), {
    type: 'session.create',
    ownerId: 'ann',
    title: 'Fix it',
    repository: {
      source: { kind: 'remote', url, credentialId: null },
      name: 'r',
      url,
      baseBranch: null,
      commit: null,
      branch: 'errand/fix-it-abcde',
    },
    environment: environmentSchema.parse({ id: nextId('environment'), name: 'Default' }),
    driver: 'oci',
    mode: 'work',
    model: null,
    turnId: nextId('turn'),
    kind: 'agent',
    text: 'fix it',
  })
}

function ports(
  overrides: Partial<EffectPorts['repositories'] & EffectPorts['sandboxes']> = {},
): EffectPorts {
  return {
    repositories: {
      prepare: async () => ({ commit: 'c0ffee', baseBranch: 'main' }),
      measure: async () => ({ commit: 'c0ffee', filesChanged: 0, insertions: 0, deletions: 0 }),
      forward: async () => ({ commit: 'c0ffee' }),
      remove: async () => undefined,
      ...overrides,
    },
    sandboxes: {
      start: async () => 'container',
      startAhead: async () => undefined,
      has: async () => false,
      hasImage: async () => true,
      stop: async () => undefined,
      remove: async () => undefined,
      list: async () => [],
      ...overrides,
    },
    doors: { open: async () => undefined, close: async () => undefined },
    layers: { find: async () => [] },
    checkouts: { has: async () => false, find: async () => [], want: () => undefined },
    report: (id, command) => dispatch.command(id, command),
  }
}

const OPTIONS: WorkerOptions = {
  ...{ workerId: 'w', bounds: { 'changes.measure': 1 }, leaseMs: 30_000, pollMs: 100 },
}

function startWorker(given: EffectPorts) {
  const deps = {
    effects: store.effects,
    dispatch,
    ports: given,
    getSession: store.sessions.get,
    logger,
  }
  const worker = createWorker(deps, OPTIONS)
  const stopWaking = notifications.onEffects(() => worker.wake())
  return async () => {
    stopWaking()
    await worker.close()
  }
}

/** Resolves with the state that fits, woken by each change. */
function until(id: string, fits: (state: SessionState) => boolean): Promise<SessionState> {
  return new Promise((resolve, reject) => {
    const look = async () => {
      const state = await store.sessions.get(id)
      if (!state || !fits(state)) return
      stop()
      resolve(state)
    }
    const stop = notifications.onSession((changed) => {
      if (changed === id) look().catch(reject)
    })
    look().catch(reject)
  })
}

describe('the worker', () => {
  it('fetches and starts the sandbox at the same time and commits each result', async () => {
    const { id } = await createSession()
    const close = startWorker(ports())
    const state = await until(
      id,
      ({ repository, sandbox }) => repository.commit !== null && sandbox.isolation !== null,
    )
    expect(state.repository).toMatchObject({ commit: 'c0ffee', baseBranch: 'main' })
    expect(state.sandbox.phases.map(({ name, state: phase }) => [name, phase])).toEqual([
      ['fetch', 'completed'],
      ['sandbox', 'completed'],
    ])
    await close()
  })

  it('says why a preparation failed for good, and stops the sandbox', async () => {
    const { id } = await createSession()
    const stopped = Promise.withResolvers<void>()
    const close = startWorker(
      ports({
        prepare: async () => {
          throw new AppError('not_found', 'repository_not_found', 'There is no such repository.')
        },
        stop: async () => {
          stopped.resolve()
        },
      }),
    )
    const state = await until(id, ({ status }) => status === 'failed')
    expect(state.failure).toEqual({
      reason: 'repository_not_found',
      message: 'There is no such repository.',
    })
    await stopped.promise
    await close()
  })

  it('tries again what may pass by itself', async () => {
    const { id } = await createSession()
    let tries = 0
    const close = startWorker(
      ports({
        prepare: async () => {
          tries++
          if (tries === 1) throw new AppError('unavailable', 'upstream_unreachable', 'No answer.')
          return { commit: 'c0ffee', baseBranch: null }
        },
      }),
    )
    await until(id, ({ repository }) => repository.commit !== null)
    expect(tries).toBe(2)
    await close()
  })

  it('has all its tries left after it has waited for a layer, however long', async () => {
    const { id } = await createSession()
    const { effects } = store
    let looks = 0
    const start = async () => {
      looks++
      if (looks <= 5) throw new AppError('unavailable', 'layer_building', 'Somebody makes it.')
      if (looks <= 8) throw new AppError('unavailable', 'sandboxd_unreachable', 'No answer.')
      return 'container'
    }
    const given = ports({ start })
    // Nobody has to wait here.
    const retry: typeof effects.retry = (effectId, generation, next) =>
      effects.retry(effectId, generation, { ...next, runAfter: new Date() })
    const deps = { dispatch, ports: given, getSession: store.sessions.get, logger }
    const worker = createWorker({ ...deps, effects: { ...effects, retry } }, OPTIONS)
    const state = await until(
      id,
      ({ sandbox, status }) => sandbox.isolation !== null || status === 'failed',
    )
    expect([state.status, looks]).toEqual(['working', 9])
    await worker.close()
  })

  it('lets go of work at once when the session is stopped', async () => {
    const { id } = await createSession()
    let aborted = false
    const begun = Promise.withResolvers<void>()
    const close = startWorker(
      ports({
        prepare: (_, signal) =>
          new Promise((_resolve, reject) => {
            begun.resolve()
            signal.addEventListener('abort', () => {
              aborted = true
              reject(signal.reason)
            })
          }),
      }),
    )
    await begun.promise
    await dispatch.command(id, { type: 'session.stop' })
    const state = await until(id, ({ sandbox }) => sandbox.state === 'stopped')
    expect(aborted).toBe(true)
    expect(state.turn).toBeNull()
    await close()
  })
})

const OWN = 'refs/heads/errand/fix-it-abcde'
const PUSHED: Command = {
  ...{ type: 'push.accepted', commit: 'a', ref: OWN },
  ...{ outward: 'forwarded', message: '' },
}

describe('work that is cancelled while it is being claimed', () => {
  it('is let go at once, though nobody could be told yet', async () => {
    const { id } = await createSession()
    const { effects } = store
    const given = ports({ prepare: (_, signal) => untilAborted(signal) })
    let worker: Worker | undefined
    const claim: typeof effects.claim = async (wanted) => {
      const effect = await effects.claim(wanted)
      if (effect?.sessionId === id && effect.kind === 'sandbox.start') {
        await dispatch.command(id, { type: 'session.stop' })
        worker?.wake()
      }
      return effect
    }
    const deps = { dispatch, ports: given, getSession: store.sessions.get, logger }
    const options = { ...OPTIONS, leaseMs: 600_000 }
    worker = createWorker({ ...deps, effects: { ...effects, claim } }, options)
    await until(id, ({ sandbox }) => sandbox.state === 'stopped')
    await worker.close()
  })
})

describe('long work', () => {
  it('holds up no stop and no other work of other sessions, however much there is of it', async () => {
    const sessions = await Promise.all(Array.from({ length: 8 }, createSession))
    const begun = new Map(sessions.map(({ id }) => [id, Promise.withResolvers<void>()]))
    const close = startWorker(
      ports({
        prepare: ({ sessionId }, signal) => {
          begun.get(sessionId)?.resolve()
          return untilAborted(signal)
        },
      }),
    )
    await Promise.all([...begun.values()].map(({ promise }) => promise))
    const other = await createSession()
    await dispatch.command(other.id, { type: 'session.stop' })
    await until(other.id, ({ sandbox }) => sandbox.state === 'stopped')
    await dispatch.command(other.id, PUSHED)
    await untilSettled(other.id)
    for (const { id } of sessions) await dispatch.command(id, { type: 'session.stop' })
    for (const { id } of sessions) await until(id, ({ sandbox }) => sandbox.state === 'stopped')
    await close()
  })

  it('of a kind with a bound runs as often as that at once, and then the next', async () => {
    const [one, two] = [await createSession(), await createSession()]
    const measured: string[] = []
    const [begun, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    for (const { id } of [one, two]) {
      await dispatch.command(id, { type: 'session.stop' })
      await dispatch.command(id, PUSHED)
    }
    const close = startWorker(
      ports({
        measure: async ({ sessionId }) => {
          measured.push(sessionId)
          begun.resolve()
          await go.promise
          return { commit: 'c0ffee', filesChanged: 0, insertions: 0, deletions: 0 }
        },
      }),
    )
    await begun.promise
    for (const { id } of [one, two]) await until(id, ({ sandbox }) => sandbox.state === 'stopped')
    expect(measured).toHaveLength(1)
    go.resolve()
    await Promise.all([untilSettled(one.id), untilSettled(two.id)])
    expect(measured.toSorted()).toEqual([one.id, two.id].toSorted())
    await close()
  })
})

function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason)
    signal.addEventListener('abort', () => reject(signal.reason))
  })
}

/** Resolves when nothing is left to do for the session. */
function untilSettled(id: string): Promise<void> {
  const isOver = (state: string) => !['queued', 'running', 'cancelling'].includes(state)
  return new Promise((resolve, reject) => {
    const look = async () => {
      if (!(await store.effects.list(id)).every(({ state }) => isOver(state))) return
      stop()
      resolve()
    }
    const stop = notifications.onEffects(() => void look().catch(reject))
    look().catch(reject)
  })
}

describe('work that does not heed its cancelling', () => {
  it('holds a stop up only until it ends', async () => {
    const { id } = await createSession()
    const begun = Promise.withResolvers<void>()
    const stopAsked = Promise.withResolvers<void>()
    const close = startWorker(
      ports({
        prepare: async () => {
          begun.resolve()
          await stopAsked.promise
          return { commit: 'c0ffee', baseBranch: null }
        },
      }),
    )
    await begun.promise
    await dispatch.command(id, { type: 'session.stop' })
    await until(id, ({ turn }) => turn === null)
    stopAsked.resolve()
    await until(id, ({ sandbox }) => sandbox.state === 'stopped')
    await close()
  })
})

/** Never ends by itself. */
const hang = (begun: PromiseWithResolvers<void>) => (_: unknown, signal: AbortSignal) =>
  new Promise<never>((_resolve, reject) => {
    begun.resolve()
    signal.addEventListener('abort', () => reject(signal.reason))
  })

describe('a host that does not answer', () => {
  it('holds up neither the stop of its session nor that of another', async () => {
    const [one, other] = [await createSession(), await createSession()]
    const begun = Promise.withResolvers<void>()
    const close = startWorker(ports({ prepare: hang(begun) }))
    await begun.promise
    for (const { id } of [other, one]) {
      await dispatch.command(id, { type: 'session.stop' })
      await until(id, ({ sandbox }) => sandbox.state === 'stopped')
    }
    await close()
  })

  it('holds up neither what is measured nor the stop when a push is on its way to it', async () => {
    const { id, turn } = await createSession()
    const begun = Promise.withResolvers<void>()
    let filesChanged = 0
    const measure = async () => {
      filesChanged++
      return { commit: 'c0ffee', filesChanged, insertions: 1, deletions: 0 }
    }
    const close = startWorker(ports({ forward: hang(begun), measure }))
    await until(id, ({ sandbox }) => sandbox.isolation !== null)
    const push = { type: 'push.accepted', ref: OWN, commit: 'c0ffee', outward: 'kept' } as const
    await dispatch.command(id, { ...push, message: '' })
    await begun.promise
    const ended = { type: 'turn.completed', turnId: turn?.id ?? '', exitCode: null } as const
    await dispatch.reports(id, [{ n: 1, report: { ...ended, durationMs: 1 } }])
    await until(id, (state) => state.changes?.filesChanged === 2)
    await dispatch.command(id, { type: 'session.stop' })
    await until(id, ({ sandbox }) => sandbox.state === 'stopped')
    const left = (await store.effects.list(id)).filter(({ state }) => state === 'running')
    expect(left.map(({ kind }) => kind)).toEqual(['push.forward'])
    await close()
  })

  it('is asked again, and what it says is told each time', async () => {
    const { id } = await createSession()
    let tries = 0
    const forward = async ({ state }: { state: SessionState }) => {
      // What an earlier test has left is asked again as well.
      if (state.id !== id) return { commit: 'c0ffee' }
      tries++
      if (tries === 1) throw new AppError('unavailable', 'upstream_unreachable', 'No answer.')
      if (tries === 2) throw new AppError('forbidden', 'upstream_refused', 'No.')
      return { commit: 'c0ffee' }
    }
    const close = startWorker(ports({ forward }))
    const push = { type: 'push.accepted', ref: OWN, commit: 'c0ffee', outward: 'kept' } as const
    await dispatch.command(id, { ...push, message: '' })
    const kept = await until(id, ({ outward }) => outward.nextAt !== null)
    expect(kept.outward).toMatchObject({ state: 'kept', message: 'No answer.' })
    await until(id, ({ outward }) => outward.state === 'refused')
    await dispatch.command(id, { type: 'push.retry' })
    await until(id, ({ outward }) => outward.state === 'forwarded')
    await close()
  })
})

describe('a session that is removed', () => {
  it('is gone at once; what is left of it goes when everybody answers again', async () => {
    const { id } = await createSession()
    const begun = Promise.withResolvers<void>()
    const removed: string[] = []
    let isDown = true
    const close = startWorker(
      ports({
        prepare: hang(begun),
        remove: async (sessionId: string) => {
          if (isDown) throw new AppError('unavailable', 'sandboxd_unreachable', 'No answer.')
          removed.push(sessionId)
        },
      }),
    )
    await begun.promise
    const last = toNewEffect({ kind: 'session.remove' })
    expect(await store.sessions.remove(id, last)).toBe(true)
    expect(await store.sessions.has(id)).toBe(false)
    const tried = async () => (await store.effects.list(id)).some(({ attempt }) => attempt > 1)
    await expect.poll(tried, { timeout: 10_000 }).toBe(true)
    isDown = false
    await expect.poll(() => store.effects.list(id), { timeout: 10_000 }).toEqual([])
    expect(removed).toEqual([id, id])
    await close()
  })
})

describe('reports of a runner', () => {
  it('are taken in once and in order, also when they come again', async () => {
    const { id, turn } = await createSession()
    const turnId = turn?.id ?? ''
    const text = (n: number) => ({
      n,
      report: { type: 'assistant.text' as const, turnId, uuid: `u${n}`, text: `${n}` },
    })
    expect(await dispatch.reports(id, [text(1), text(2)])).toBe(2)
    expect(await dispatch.reports(id, [text(2), text(3), text(1)])).toBe(3)
    const { events } = await store.readEvents(id, { afterSeq: 0, limit: 100 })
    const said = events.flatMap(({ body }) => (body.type === 'assistant.text' ? [body.text] : []))
    expect(said).toEqual(['1', '2', '3'])
    expect((await dispatch.runnerState(id)).ackedN).toBe(3)
  })
})

describe('the clock', () => {
  it('takes a sandbox for lost when it is missed twice, and removes one that no session has', async () => {
    const { id } = await createSession()
    await dispatch.command(id, { type: 'phase.start', phase: 'sandbox', generation: 1 })
    await dispatch.command(id, { type: 'sandbox.started', generation: 1, isolation: 'container' })
    const orphan = nextId('session')
    const removed: string[] = []
    const { sandboxes } = ports({
      list: async () => [{ sessionId: orphan, running: true, message: '' }],
      remove: async (sessionId: string) => {
        removed.push(sessionId)
      },
    })
    const deps = {
      directory: store.sessions,
      dispatch,
      sandboxes,
      standbys: store.standbys,
      layers: store.layers,
      logger,
    }
    const missing = new Map<string, number>()
    await reconcile(deps, missing)
    expect((await store.sessions.get(id))?.sandbox.state).toBe('preparing')
    await reconcile(deps, missing)
    const state = await store.sessions.get(id)
    expect(state?.sandbox).toMatchObject({ state: 'preparing', generation: 2 })
    expect(removed).toEqual([orphan, orphan])
  })

  it('fails a phase that is over its limit', async () => {
    const { id } = await createSession()
    await dispatch.command(id, { type: 'phase.start', phase: 'fetch', generation: 1 })
    const late = { ...store.sessions, listOverdue: async () => [id] }
    const future = createDispatch(
      {
        change: (session, decide, options) =>
          store.change(
            session,
            (context) => decide({ ...context, now: new Date(Date.now() + 3_600_000) }),
            options,
          ),
      },
      defaultRules,
    )
    const { sandboxes } = ports()
    const clock = createClock(
      { ...store, directory: late, dispatch: future, sandboxes, logger },
      { tickMs: 10, reconcileMs: 60_000 },
    )
    const state = await until(id, ({ status }) => status === 'failed')
    expect(state.failure?.reason).toBe('phase_timeout')
    await clock.close()
  })
})
