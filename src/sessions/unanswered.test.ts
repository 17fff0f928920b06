// Work whose other end does not answer, or says no: what goes on meanwhile, and what comes of it later.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSilentLogger } from '../lib/logger.ts'
import { AppError } from '../protocol/errors.ts'
import type { SessionState } from '../protocol/session.ts'
import type { Store } from '../store/store.ts'
import { countAnew } from './clock.ts'
import { createDispatch, type Dispatch, toNewEffect } from './dispatch.ts'
import { failureOf } from './effects.ts'
import { defaultRules, rulesOf } from './rules/decide.ts'
import type { EffectRequest } from './rules/draft.ts'
import { exampleId } from './starting/new-session.fixture.ts'
import { hang, OWN, openWorkshop, type Workshop } from './worker.fixture.ts'

let shop: Workshop
let store: Store
let dispatch: Dispatch
/** Takes a sandbox for idle as soon as it has no work. */
let atOnce: Dispatch

beforeAll(async () => {
  shop = await openWorkshop()
  ;({ store, dispatch } = shop)
  atOnce = createDispatch(store, { ...defaultRules, idleStopMs: 0 })
})
afterAll(() => shop.close())

describe('a host that does not answer', () => {
  it('holds up neither the stop of its session nor that of another', async () => {
    const [one, other] = [await shop.createSession(), await shop.createSession()]
    const begun = Promise.withResolvers<void>()
    const close = shop.startWorker(shop.ports({ prepare: hang(begun) }))
    await begun.promise
    for (const { id } of [other, one]) {
      await dispatch.command(id, { type: 'session.stop' })
      await shop.until(id, ({ sandbox }) => sandbox.state === 'stopped')
    }
    await close()
  })

  it('holds up neither what is measured nor the stop when a push is on its way to it', async () => {
    const { id, turn } = await shop.createSession()
    const begun = Promise.withResolvers<void>()
    let filesChanged = 0
    const measure = async () => {
      filesChanged++
      return { commit: 'c0ffee', filesChanged, insertions: 1, deletions: 0 }
    }
    const close = shop.startWorker(shop.ports({ forward: hang(begun), measure }))
    await shop.until(id, ({ sandbox }) => sandbox.isolation !== null)
    const push = { type: 'push.accepted', ref: OWN, commit: 'c0ffee', outward: 'kept' } as const
    await dispatch.command(id, { ...push, message: '' })
    await begun.promise
    const ended = { type: 'turn.completed', turnId: turn?.id ?? '', exitCode: null } as const
    await dispatch.reports(id, [{ n: 1, report: { ...ended, durationMs: 1 } }])
    await shop.until(id, (state) => state.changes?.filesChanged === 2)
    await dispatch.command(id, { type: 'session.stop' })
    await shop.until(id, ({ sandbox }) => sandbox.state === 'stopped')
    const left = (await store.effects.list(id)).filter(({ state }) => state === 'running')
    expect(left.map(({ kind }) => kind)).toEqual(['push.forward'])
    await close()
  })

  it('is asked again, and what it says is told each time', async () => {
    const { id } = await shop.createSession()
    let tries = 0
    const forward = async ({ state }: { state: SessionState }) => {
      // What an earlier test has left is asked again as well.
      if (state.id !== id) return { commit: 'c0ffee' }
      tries++
      if (tries === 1) throw new AppError('unavailable', 'upstream_unreachable', 'No answer.')
      if (tries === 2) throw new AppError('forbidden', 'upstream_refused', 'No.')
      return { commit: 'c0ffee' }
    }
    const close = shop.startWorker(shop.ports({ forward }))
    const push = { type: 'push.accepted', ref: OWN, commit: 'c0ffee', outward: 'kept' } as const
    await dispatch.command(id, { ...push, message: '' })
    const kept = await shop.until(id, ({ outward }) => outward.nextAt !== null)
    expect(kept.outward).toMatchObject({ state: 'kept', message: 'No answer.' })
    await shop.until(id, ({ outward }) => outward.state === 'refused')
    await dispatch.command(id, { type: 'push.retry' })
    await shop.until(id, ({ outward }) => outward.state === 'forwarded')
    await close()
  })
})

it('a push that our own full disk kept here is tried again', () => {
  const forward = { kind: 'push.forward', repository: undefined, attempt: 1, notBefore: null }
  const full = new AppError('no_space', 'disk_full', 'full')
  expect(failureOf(forward as EffectRequest, full)).toMatchObject({ attempt: 1, passes: true })
})

describe('a sandbox that rests for too long', () => {
  const prepareSession = async () => {
    const { id, turn } = await shop.createSession()
    const first = { generation: 1 } as const
    const prepared = { type: 'repository.prepared', commit: 'c0ffee', baseBranch: null } as const
    await dispatch.command(id, { ...prepared, ...first })
    await dispatch.command(id, { type: 'sandbox.started', ...first, isolation: 'container' })
    await dispatch.reports(id, [{ n: 1, report: { type: 'runner.ready', ...first } }])
    const endTurn = async (n: number, turnId = '') => {
      const report = { type: 'turn.completed', turnId, exitCode: null, durationMs: 1 } as const
      await atOnce.reports(id, [{ n, report }])
    }
    const rest = async (n: number, turnId?: string) => {
      await endTurn(n, turnId)
      for (let tick = 1; tick <= 2; tick++) await atOnce.command(id, { type: 'clock.tick' })
    }
    return { id, turn, endTurn, rest }
  }

  it('is stopped once, and not when somebody has asked for something before that came to it', async () => {
    const { id, turn, rest } = await prepareSession()
    await rest(2, turn?.id)
    const turnId = exampleId('turn', 31)
    await dispatch.command(id, { type: 'turn.submit', turnId, text: 'more', kind: 'agent' })
    let stops = 0
    const stop = async () => {
      stops++
    }
    const close = shop.startWorker(shop.ports({ stop }), atOnce)
    await shop.untilSettled(id)
    expect(await store.sessions.get(id)).toMatchObject({ status: 'working', turn: { id: turnId } })
    expect(stops).toBe(0)
    await rest(3, turnId)
    await shop.until(id, ({ sandbox }) => sandbox.state === 'stopped')
    await shop.untilSettled(id)
    expect(stops).toBe(1)
    await close()
  })

  it('is asked for once, however long nobody does it, and again after the next turn', async () => {
    const { id, turn, endTurn } = await prepareSession()
    const isDue = async () => (await store.sessions.listOverdue(new Date(), 100)).includes(id)
    await endTurn(2, turn?.id)
    expect(await isDue()).toBe(true)
    await atOnce.command(id, { type: 'clock.tick' })
    expect(await isDue()).toBe(false)
    expect(await store.effects.countOpen('sandbox.watch', id)).toBe(1)
    const turnId = exampleId('turn', 32)
    await atOnce.command(id, { type: 'turn.submit', turnId, text: 'more', kind: 'agent' })
    expect(await isDue()).toBe(false)
    await endTurn(3, turnId)
    expect(await isDue()).toBe(true)
  })

  it('is stopped where nobody can say whether something computes in it', async () => {
    const { id, turn, rest } = await prepareSession()
    const isWorking = () =>
      Promise.reject(new AppError('unsupported', 'unknown_route', 'sandboxd has no such verb'))
    await rest(2, turn?.id)
    const close = shop.startWorker(shop.ports({ isWorking }), atOnce)
    await shop.until(id, ({ sandbox }) => sandbox.state === 'stopped')
    await close()
  })

  it('is asked to stop by a setting that is newer than its rest, once', async () => {
    const { id, turn } = await prepareSession()
    const never = createDispatch(store, rulesOf({ concurrency: 1, idleMinutes: 0 }))
    const ended = { type: 'turn.completed', turnId: turn?.id ?? '', exitCode: null } as const
    await never.reports(id, [{ n: 2, report: { ...ended, durationMs: 1 } }])
    const logger = createSilentLogger()
    const startWith = (rules: Dispatch) =>
      countAnew({ directory: store.sessions, effects: store.effects, dispatch: rules, logger })
    const asked = () => store.effects.countOpen('sandbox.watch', id)
    await startWith(never)
    expect(await asked()).toBe(0)
    for (let start = 1; start <= 2; start++) await startWith(atOnce)
    expect(await asked()).toBe(1)
  })
})

describe('a session that is removed', () => {
  it('is gone at once; what is left of it goes when everybody answers again', async () => {
    const { id } = await shop.createSession()
    const begun = Promise.withResolvers<void>()
    const removed: string[] = []
    let isDown = true
    const close = shop.startWorker(
      shop.ports({
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
