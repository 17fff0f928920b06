// The worker on a real database, with ports that do what the test says.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSilentLogger } from '../lib/logger.ts'
import type { Command } from '../protocol/command.ts'
import { AppError } from '../protocol/errors.ts'
import type { Store } from '../store/store.ts'
import { createClock, reconcile } from './clock.ts'
import { createDispatch, type Dispatch } from './dispatch.ts'
import { defaultRules } from './rules/decide.ts'
import { exampleId } from './starting/new-session.fixture.ts'
import { OPTIONS, OWN, openWorkshop, type Workshop } from './worker.fixture.ts'
import { createWorker, type Worker } from './worker.ts'

let shop: Workshop
let store: Store
let dispatch: Dispatch

beforeAll(async () => {
  shop = await openWorkshop()
  ;({ store, dispatch } = shop)
})
afterAll(() => shop.close())

const logger = createSilentLogger()

describe('the worker', () => {
  it('fetches and starts the sandbox at the same time and commits each result', async () => {
    const { id } = await shop.createSession()
    const close = shop.startWorker(shop.ports())
    const state = await shop.until(
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
    const { id } = await shop.createSession()
    const stopped = Promise.withResolvers<void>()
    const close = shop.startWorker(
      shop.ports({
        prepare: async () => {
          throw new AppError('not_found', 'repository_not_found', 'There is no such repository.')
        },
        stop: async () => {
          stopped.resolve()
        },
      }),
    )
    const state = await shop.until(id, ({ status }) => status === 'failed')
    expect(state.failure).toEqual({
      reason: 'repository_not_found',
      message: 'There is no such repository.',
    })
    await stopped.promise
    await close()
  })

  it('tries again what may pass by itself', async () => {
    const { id } = await shop.createSession()
    let tries = 0
    const close = shop.startWorker(
      shop.ports({
        prepare: async () => {
          tries++
          if (tries === 1) throw new AppError('unavailable', 'upstream_unreachable', 'No answer.')
          return { commit: 'c0ffee', baseBranch: null }
        },
      }),
    )
    await shop.until(id, ({ repository }) => repository.commit !== null)
    await shop.untilSettled(id)
    expect(tries).toBe(2)
    await close()
  })

  it('puts back what it could not say the end of, as soon as it can and not when its lease is over', async () => {
    const { id } = await shop.createSession()
    const { effects } = store
    let failures = 2
    const retry: typeof effects.retry = async (effectId, generation, next) => {
      const isOwn = (await effects.list(id)).some((one) => one.id === effectId)
      if (isOwn && failures-- > 0)
        throw new AppError('unavailable', 'database_unreachable', 'Away.')
      return effects.retry(effectId, generation, next)
    }
    let tries = 0
    const given = shop.ports({
      prepare: async ({ sessionId }) => {
        if (sessionId === id && ++tries === 1)
          throw new AppError('unavailable', 'database_unreachable', 'Away.')
        return { commit: 'c0ffee', baseBranch: null }
      },
    })
    const deps = { dispatch, ports: given, getSession: store.sessions.get, logger }
    const worker = createWorker({ ...deps, effects: { ...effects, retry } }, OPTIONS)
    await shop.until(id, ({ repository }) => repository.commit !== null)
    await shop.untilSettled(id)
    expect([tries, failures]).toEqual([2, -1])
    await worker.close()
  })

  it('has all its tries left after it has waited for a layer, however long', async () => {
    const { id } = await shop.createSession()
    const { effects } = store
    let looks = 0
    const start = async () => {
      looks++
      if (looks <= 5) throw new AppError('unavailable', 'layer_building', 'Somebody makes it.')
      if (looks <= 8) throw new AppError('unavailable', 'sandboxd_unreachable', 'No answer.')
      return 'container'
    }
    const given = shop.ports({ start })
    // Nobody has to wait here.
    const retry: typeof effects.retry = (effectId, generation, next) =>
      effects.retry(effectId, generation, { ...next, runAfter: new Date() })
    const deps = { dispatch, ports: given, getSession: store.sessions.get, logger }
    const worker = createWorker({ ...deps, effects: { ...effects, retry } }, OPTIONS)
    const state = await shop.until(
      id,
      ({ sandbox, status }) => sandbox.isolation !== null || status === 'failed',
    )
    expect([state.status, looks]).toEqual(['working', 9])
    await worker.close()
  })

  it('counts what was changed once git is there again, however long it was away, and gives up what git cannot do', async () => {
    const [one, two] = [await shop.createSession(), await shop.createSession()]
    const { effects } = store
    const tries = new Map([one, two].map(({ id }) => [id, 0]))
    const measure = async ({ sessionId }: { sessionId: string }) => {
      const tried = (tries.get(sessionId) ?? 0) + 1
      tries.set(sessionId, tried)
      if (sessionId === two.id) throw new AppError('timeout', 'git_timeout', 'Too much.')
      if (tried <= 9) throw new AppError('unavailable', 'gitd_unavailable', 'Not running.')
      return { commit: 'c0ffee', filesChanged: 3, insertions: 1, deletions: 0 }
    }
    // Nobody has to wait here.
    const retry: typeof effects.retry = (effectId, generation, next) =>
      effects.retry(effectId, generation, { ...next, runAfter: new Date() })
    for (const { id } of [two, one]) await dispatch.command(id, PUSHED)
    const deps = { dispatch, getSession: store.sessions.get, logger }
    const ports = shop.ports({ measure })
    const worker = createWorker({ ...deps, ports, effects: { ...effects, retry } }, OPTIONS)
    await shop.untilSettled(one.id)
    await shop.untilSettled(two.id)
    expect(await store.sessions.get(one.id)).toMatchObject({ changes: { filesChanged: 3 } })
    expect([...tries.values()]).toEqual([10, 4])
    await worker.close()
  })

  it('lets go of work at once when the session is stopped', async () => {
    const { id } = await shop.createSession()
    let aborted = false
    const begun = Promise.withResolvers<void>()
    const close = shop.startWorker(
      shop.ports({
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
    const state = await shop.until(id, ({ sandbox }) => sandbox.state === 'stopped')
    expect(aborted).toBe(true)
    expect(state.turn).toBeNull()
    await close()
  })
})

const PUSHED: Command = {
  ...{ type: 'push.accepted', commit: 'a', ref: OWN },
  ...{ outward: 'forwarded', message: '' },
}

describe('work that is cancelled while it is being claimed', () => {
  it('is let go at once, though nobody could be told yet', async () => {
    const { id } = await shop.createSession()
    const { effects } = store
    const given = shop.ports({ prepare: (_, signal) => untilAborted(signal) })
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
    await shop.until(id, ({ sandbox }) => sandbox.state === 'stopped')
    await worker.close()
  })
})

describe('long work', () => {
  it('holds up no stop and no other work of other sessions, however much there is of it', async () => {
    const sessions = await Promise.all(Array.from({ length: 8 }, shop.createSession))
    const begun = new Map(sessions.map(({ id }) => [id, Promise.withResolvers<void>()]))
    const close = shop.startWorker(
      shop.ports({
        prepare: ({ sessionId }, signal) => {
          begun.get(sessionId)?.resolve()
          return untilAborted(signal)
        },
      }),
    )
    await Promise.all([...begun.values()].map(({ promise }) => promise))
    const other = await shop.createSession()
    await dispatch.command(other.id, { type: 'session.stop' })
    await shop.until(other.id, ({ sandbox }) => sandbox.state === 'stopped')
    await dispatch.command(other.id, PUSHED)
    await shop.untilSettled(other.id)
    for (const { id } of sessions) await dispatch.command(id, { type: 'session.stop' })
    for (const { id } of sessions)
      await shop.until(id, ({ sandbox }) => sandbox.state === 'stopped')
    await close()
  })

  it('of a kind with a bound runs as often as that at once, and then the next', async () => {
    const [one, two] = [await shop.createSession(), await shop.createSession()]
    const measured: string[] = []
    const [begun, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    for (const { id } of [one, two]) {
      await dispatch.command(id, { type: 'session.stop' })
      await dispatch.command(id, PUSHED)
    }
    const close = shop.startWorker(
      shop.ports({
        measure: async ({ sessionId }) => {
          measured.push(sessionId)
          begun.resolve()
          await go.promise
          return { commit: 'c0ffee', filesChanged: 0, insertions: 0, deletions: 0 }
        },
      }),
    )
    await begun.promise
    for (const { id } of [one, two])
      await shop.until(id, ({ sandbox }) => sandbox.state === 'stopped')
    expect(measured).toHaveLength(1)
    go.resolve()
    await Promise.all([shop.untilSettled(one.id), shop.untilSettled(two.id)])
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

describe('work that does not heed its cancelling', () => {
  it('holds a stop up only until it ends', async () => {
    const { id } = await shop.createSession()
    const begun = Promise.withResolvers<void>()
    const stopAsked = Promise.withResolvers<void>()
    const close = shop.startWorker(
      shop.ports({
        prepare: async () => {
          begun.resolve()
          await stopAsked.promise
          return { commit: 'c0ffee', baseBranch: null }
        },
      }),
    )
    await begun.promise
    await dispatch.command(id, { type: 'session.stop' })
    await shop.until(id, ({ turn }) => turn === null)
    stopAsked.resolve()
    await shop.until(id, ({ sandbox }) => sandbox.state === 'stopped')
    await close()
  })
})

describe('reports of a runner', () => {
  it('are taken in once and in order, also when they come again', async () => {
    const { id, turn } = await shop.createSession()
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
    const { id } = await shop.createSession()
    await dispatch.command(id, { type: 'phase.start', phase: 'sandbox', generation: 1 })
    await dispatch.command(id, { type: 'sandbox.started', generation: 1, isolation: 'container' })
    const orphan = exampleId('session', 31)
    const removed: string[] = []
    const { sandboxes } = shop.ports({
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
      effects: store.effects,
      logger,
    }
    const missing = new Map()
    await reconcile(deps, missing)
    expect((await store.sessions.get(id))?.sandbox.state).toBe('preparing')
    await reconcile(deps, missing)
    const state = await store.sessions.get(id)
    expect(state?.sandbox).toMatchObject({ state: 'preparing', generation: 2 })
    expect(removed).toEqual([orphan, orphan])
  })

  it('fails a phase that is over its limit', async () => {
    const { id } = await shop.createSession()
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
    const { sandboxes } = shop.ports()
    const clock = createClock(
      { ...store, directory: late, dispatch: future, sandboxes, logger },
      { tickMs: 10, reconcileMs: 60_000 },
    )
    const state = await shop.until(id, ({ status }) => status === 'failed')
    expect(state.failure?.reason).toBe('phase_timeout')
    await clock.close()
  })
})
