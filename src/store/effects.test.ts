import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { createSilentLogger } from '../lib/logger.ts'
import type { Effect, NewEffect } from './effects.ts'
import { LAYER_BUILDING } from './layers.ts'
import { startTestDatabase, type TestDatabase } from './postgres/database.fixture.ts'
import { createNotifications } from './postgres/notifications.ts'
import { appends, nextTestId, renamed } from './session.fixture.ts'
import type { Store } from './store.ts'

const LEASE_MS = 30_000
const LANE = 'sandbox'

let database: TestDatabase
let store: Store
let nowMs = Date.parse('2030-01-01T00:00:00Z')

beforeAll(async () => {
  database = await startTestDatabase()
  store = await database.openStore({ clock: () => new Date(nowMs) })
})
beforeEach(() => store.pool.query('delete from sessions; delete from effects'))
afterAll(() => database.stop())

async function makeSession(...effects: (string | NewEffect)[]) {
  const id = nextTestId()
  const wanted = effects.map((effect) =>
    typeof effect === 'string' ? { kind: effect, lane: LANE, payload: { of: id } } : effect,
  )
  await store.change(id, appends(id, [renamed('a')], { effects: wanted }))
  return id
}

const stopEffect = { kind: 'stop', lane: LANE, payload: null }
const claim = (workerId = 'one') => store.effects.claim({ workerId, leaseMs: LEASE_MS })

async function mustClaim(workerId = 'one'): Promise<Effect> {
  const effect = await claim(workerId)
  if (!effect) throw new Error('nothing to claim')
  return effect
}

const states = async (id: string) =>
  (await store.effects.list(id)).map((effect) => [effect.kind, effect.state])

test('effects are taken oldest first, with what was asked', async () => {
  const id = await makeSession('prepare')
  const other = await makeSession('stop')
  const first = await mustClaim()
  expect(first).toMatchObject({ kind: 'prepare', sessionId: id, payload: { of: id } })
  expect(first).toMatchObject({ generation: 1, attempt: 1, owner: 'one', state: 'running' })
  expect((await mustClaim()).sessionId).toBe(other)
  expect(await claim()).toBeUndefined()
  expect(await store.effects.complete(first.id, first.generation)).toBe(true)
  expect(await states(id)).toEqual([['prepare', 'done']])
})

test('a worker leaves out kinds that it has enough of', async () => {
  await makeSession('prepare')
  const wanted = { workerId: 'one', leaseMs: LEASE_MS }
  expect(await store.effects.claim({ ...wanted, except: ['stop', 'prepare'] })).toBeUndefined()
  expect(await store.effects.claim({ ...wanted, except: ['stop'] })).toBeDefined()
})

test('a session has at most one effect under way, also when many workers race', async () => {
  const id = await makeSession('a', 'b', 'c')
  const others = [await makeSession('x', 'y'), await makeSession('x')]
  const workers = await Promise.all(Array.from({ length: 12 }, (_, index) => claim(`w${index}`)))
  const claimed = workers.filter((effect) => effect !== undefined)
  expect(claimed.map((effect) => effect.sessionId).sort()).toEqual([id, ...others].sort())
  const mine = claimed.find((effect) => effect.sessionId === id)
  expect(mine?.kind).toBe('a')
  await store.effects.complete(mine?.id ?? '', 1)
  expect(await mustClaim()).toMatchObject({ sessionId: id, kind: 'b' })
})

test('what a worker held that has ended is taken over at once, and nothing else', async () => {
  const id = await makeSession('prepare')
  const other = await makeSession('prepare')
  await mustClaim('ended')
  await mustClaim('alive')
  expect((await store.effects.holders()).toSorted()).toEqual(['alive', 'ended'])
  expect(await claim('heir')).toBeUndefined()
  expect(await store.effects.endLeases('ended')).toBe(1)
  expect(await mustClaim('heir')).toMatchObject({ sessionId: id, generation: 2, attempt: 2 })
  expect(await claim('heir')).toBeUndefined()
  expect((await store.effects.list(other))[0]).toMatchObject({ owner: 'alive', generation: 1 })
})

test('what a worker was to let go that has ended frees its lane at once', async () => {
  const id = await makeSession('prepare')
  await mustClaim('ended')
  await store.change(
    id,
    appends(id, [renamed('b')], { cancelLanes: [LANE], effects: [stopEffect] }),
  )
  expect(await claim('heir')).toBeUndefined()
  expect(await store.effects.endLeases('ended')).toBe(1)
  expect(await mustClaim('heir')).toMatchObject({ sessionId: id, kind: 'stop' })
  expect(await states(id)).toEqual([
    ['prepare', 'cancelled'],
    ['stop', 'running'],
  ])
})

test('what is overdue is taken over, and its late holder is refused', async () => {
  const id = await makeSession('prepare')
  const zombie = await mustClaim('zombie')
  nowMs += LEASE_MS - 1
  expect(await claim('heir')).toBeUndefined()
  expect(await store.effects.renew(zombie.id, zombie.generation, LEASE_MS)).toBe('renewed')
  nowMs += LEASE_MS + 1
  const heir = await mustClaim('heir')
  expect(heir).toMatchObject({ id: zombie.id, generation: 2, attempt: 2, owner: 'heir' })
  expect(await store.effects.renew(zombie.id, zombie.generation, LEASE_MS)).toBe('lost')
  expect(await store.effects.complete(zombie.id, zombie.generation)).toBe(false)
  expect(await store.effects.fail(zombie.id, zombie.generation, 'late')).toBe(false)
  const late = { runAfter: new Date(nowMs), error: 'late' }
  expect(await store.effects.retry(zombie.id, zombie.generation, late)).toBe(false)
  const report = appends(id, [renamed('done by a zombie')])
  const completes = { effectId: zombie.id, generation: zombie.generation }
  const refused = await store.change(id, report, { completes })
  expect(refused).toMatchObject({ refusal: { reason: 'effect_superseded' } })
  expect((await store.sessions.get(id))?.lastSeq).toBe(1)
  const done = await store.change(id, report, { completes: { ...completes, generation: 2 } })
  expect(done).toHaveProperty('events')
  expect(await states(id)).toEqual([['prepare', 'done']])
})

test('the result of an effect, its end and what follows are one transaction', async () => {
  const id = await makeSession('prepare')
  const { id: effectId, generation } = await mustClaim()
  const options = { completes: { effectId, generation } }
  const refusal = { code: 'conflict', reason: 'no', message: 'no' } as const
  await store.change(id, () => ({ refusal }), options)
  expect(await states(id)).toEqual([['prepare', 'running']])
  const next = [{ kind: 'start', lane: LANE, payload: null }]
  const follow = appends(id, [renamed('b')], { effects: next, cancelLanes: [LANE] })
  await store.change(id, follow, options)
  expect(await states(id)).toEqual([
    ['prepare', 'done'],
    ['start', 'queued'],
  ])
})

test('a retry waits for its time and remembers why', async () => {
  const id = await makeSession('push')
  const effect = await mustClaim()
  const runAfter = new Date(nowMs + 5_000)
  const error = { reason: 'forge_down' }
  expect(await store.effects.retry(effect.id, effect.generation, { runAfter, error })).toBe(true)
  expect(await claim()).toBeUndefined()
  nowMs += 5_000
  expect(await mustClaim()).toMatchObject({ error, attempt: 2, generation: 2 })
  expect(await store.effects.fail(effect.id, 2, { reason: 'gave_up' })).toBe(true)
  expect(await states(id)).toEqual([['push', 'failed']])
})

test('what one failed with keeps none that waits for a layer, whatever a git host has said', async () => {
  const id = await makeSession('prepare')
  const other = await makeSession('prepare')
  const later = { runAfter: new Date(nowMs + 60_000) }
  const { id: first } = await mustClaim()
  const { id: second } = await mustClaim()
  const error = { reason: 'upstream_failed', message: 'git said: a\0b \udc00' }
  await store.effects.retry(first, 1, { ...later, error })
  await store.effects.retry(second, 1, { ...later, error: { reason: LAYER_BUILDING } })
  await store.layers.fail(`l_${'a'.repeat(20)}`, 'nobody', { reason: 'gone', message: '' })
  expect(await mustClaim()).toMatchObject({ id: second, sessionId: other })
  expect((await store.effects.list(id))[0]?.error).toEqual({
    ...{ reason: 'upstream_failed', message: 'git said: a\ufffdb \ufffd' },
  })
})

test('lanes of a session do not wait for each other, and are cancelled one by one', async () => {
  const push = { kind: 'push', lane: 'outward', payload: null }
  const id = await makeSession('prepare', push, push)
  expect(await mustClaim()).toMatchObject({ kind: 'prepare' })
  expect(await mustClaim()).toMatchObject({ kind: 'push' })
  expect(await claim()).toBeUndefined()
  await store.change(id, appends(id, [renamed('b')], { cancelLanes: [LANE] }))
  expect((await states(id)).map(([, state]) => state)).toEqual(['cancelling', 'running', 'queued'])
})

test('what removes a session outlives it, waits for the holder of its lane, and leaves nothing', async () => {
  const push = { kind: 'push', lane: 'outward', payload: null }
  const id = await makeSession('prepare', push, 'start')
  const holder = await mustClaim()
  await mustClaim()
  expect(await store.sessions.remove(id, { kind: 'remove', lane: LANE, payload: null })).toBe(true)
  expect(await states(id)).toEqual([
    ['prepare', 'cancelling'],
    ['push', 'cancelling'],
    ['remove', 'queued'],
  ])
  expect(await claim()).toBeUndefined()
  await store.effects.complete(holder.id, holder.generation)
  const last = await mustClaim()
  expect(await store.effects.countOpen('remove')).toBe(1)
  expect(await store.effects.countOpen('remove', nextTestId())).toBe(0)
  expect(last.kind).toBe('remove')
  expect(await store.effects.forget(last.id, last.generation + 1)).toBe(false)
  expect(await store.effects.forget(last.id, last.generation)).toBe(true)
  expect(await states(id)).toEqual([])
  expect(await store.effects.countOpen('remove', id)).toBe(0)
})

test('cancelling ends what waits and asks a holder to let go before anything else starts', async () => {
  const id = await makeSession('prepare', 'push')
  const effect = await mustClaim()
  const stop = { effects: [stopEffect], cancelLanes: [LANE] }
  await store.change(id, appends(id, [renamed('b')], stop))
  expect(await states(id)).toEqual([
    ['prepare', 'cancelling'],
    ['push', 'cancelled'],
    ['stop', 'queued'],
  ])
  expect(await claim()).toBeUndefined()
  expect(await store.effects.renew(effect.id, effect.generation, LEASE_MS)).toBe('cancelled')
  expect(await store.effects.complete(effect.id, effect.generation)).toBe(false)
  expect(await mustClaim()).toMatchObject({ kind: 'stop' })
  expect((await states(id))[0]).toEqual(['prepare', 'cancelled'])
})

test('a cancelled effect whose holder died frees its session when the lease ends', async () => {
  const id = await makeSession('prepare')
  await mustClaim()
  const stop = { effects: [stopEffect], cancelLanes: [LANE] }
  await store.change(id, appends(id, [renamed('b')], stop))
  nowMs += LEASE_MS + 1
  expect(await mustClaim()).toMatchObject({ kind: 'stop', attempt: 1 })
})

test('workers wake when there is something to take', async () => {
  const { connection } = database
  const notifications = await createNotifications({ connection, logger: createSilentLogger() })
  const woken = () => new Promise<void>((resolve) => notifications.onEffects(resolve))
  const first = woken()
  await makeSession('a', 'b')
  await first
  const effect = await mustClaim()
  const second = woken()
  await store.effects.complete(effect.id, effect.generation)
  await second
  await notifications.close()
})

test('the queue forgets what ended long ago', async () => {
  const id = await makeSession('a', 'b')
  const effect = await mustClaim()
  await store.effects.complete(effect.id, effect.generation)
  const endedAt = new Date(nowMs)
  nowMs += 1_000
  expect(await store.effects.prune(endedAt)).toBe(0)
  expect(await store.effects.prune(new Date(nowMs))).toBe(1)
  expect((await states(id)).map(([, state]) => state)).toEqual(['queued'])
})
