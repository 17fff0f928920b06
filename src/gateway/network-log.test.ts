import { expect, it } from 'vitest'
import type { EgressDecision } from '../egress/proxy/exchange.ts'
import { createSilentLogger } from '../lib/logger.ts'
import { AppError } from '../protocol/errors.ts'
import type { NetworkBatch, NetworkLogStore } from '../store/network-log.ts'
import { createNetworkLog } from './network-log.ts'

const NOON = Date.UTC(2026, 0, 2, 12)

function setUp(add?: NetworkLogStore['add']) {
  const batches: (NetworkBatch & { sessionId: string })[] = []
  const store: NetworkLogStore = {
    add: add ?? (async (sessionId, batch) => batches.push({ sessionId, ...batch }) > 0),
    read: async () => ({ entries: [], through: 0, more: false }),
    usage: async (_, day) => ({ day, bytesUp: 3, bytesDown: 4 }),
    endOpen: async () => undefined,
  }
  const log = createNetworkLog({ store, logger: createSilentLogger(), batchMs: 1, now: () => NOON })
  return { batches, log }
}

const decision = (fields: Partial<EgressDecision> = {}): EgressDecision => ({
  ...{ id: 'c1', sessionId: 's_a', startedMs: NOON, host: 'a.example', port: 443 },
  ...{ method: 'CONNECT', allowed: true, reason: null, bytesUp: 0, bytesDown: 0, durationMs: 5 },
  ...fields,
})

it('tells of a connection while it is open and when it is over, and counts each byte once', async () => {
  const { batches, log } = setUp()
  log.opened(decision())
  log.opened(decision({ bytesUp: 10, bytesDown: 100 }))
  await log.close()
  log.opened(decision({ bytesUp: 15, bytesDown: 100 }))
  log.decided(decision({ bytesUp: 20, bytesDown: 300 }))
  await log.close()
  expect(batches.map(({ entries }) => entries.map((entry) => entry.durationMs))).toEqual([
    [null],
    [5],
  ])
  expect(batches.map(({ moved }) => moved)).toEqual([
    { day: '2026-01-02', bytesUp: 10, bytesDown: 100 },
    { day: '2026-01-02', bytesUp: 10, bytesDown: 200 },
  ])
})

it('counts refusals that are alike, and says how many were too many', async () => {
  const { batches, log } = setUp()
  const refused = { allowed: false, reason: 'host_not_allowed' }
  for (let n = 0; n < 1_000; n++) log.decided(decision({ id: `x${n}`, ...refused }))
  for (let n = 0; n < 500; n++)
    log.decided(decision({ id: `y${n}`, host: `${n}.example`, ...refused }))
  log.decided(decision({ sessionId: 's_b' }))
  await log.close()
  const [first, second] = batches
  expect(first?.entries).toHaveLength(201)
  expect(first?.entries[0]).toMatchObject({ host: 'a.example', count: 1_000 })
  expect(first?.entries.at(-1)).toMatchObject({ host: 'other hosts', allowed: false, count: 301 })
  expect(first?.entries.reduce((sum, { count }) => sum + count, 0)).toBe(1_500)
  expect(second).toMatchObject({ sessionId: 's_b', entries: [{ count: 1, allowed: true }] })
})

it('goes on when a batch cannot be stored', async () => {
  const stored: string[] = []
  const { log } = setUp(async (sessionId) => {
    if (sessionId === 's_a') throw new Error('the database is away')
    stored.push(sessionId)
    return true
  })
  log.decided(decision())
  log.decided(decision({ sessionId: 's_b' }))
  await log.close()
  expect(stored).toEqual(['s_b'])
})

it('knows what was moved today before', async () => {
  const { log } = setUp()
  expect(log.usedBefore('s_a', '2026-01-02')).toBe(0)
  await log.load('s_a')
  expect(log.usedBefore('s_a', '2026-01-02')).toBe(7)
  expect(log.usedBefore('s_a', '2026-01-03')).toBe(0)
})

it('stores later what the database did not take, bytes and ends of connections as well', async () => {
  let isAway = true
  const stored: NetworkBatch[] = []
  const { log } = setUp(async (_, batch) => {
    if (isAway) throw new AppError('unavailable', 'database_unreachable', 'it is away')
    return stored.push(batch) > 0
  })
  const refused = { allowed: false, reason: 'host_not_allowed' }
  log.opened(decision({ bytesUp: 10 }))
  log.decided(decision({ id: 'x1', ...refused }))
  await log.close()
  log.decided(decision({ bytesUp: 30, bytesDown: 5 }))
  log.decided(decision({ id: 'x2', ...refused }))
  for (let n = 0; n < 300; n++) log.decided(decision({ id: `y${n}`, bytesDown: 1 }))
  await log.close()
  isAway = false
  await log.close()
  const [batch] = stored
  expect(stored).toHaveLength(1)
  expect(batch?.moved).toMatchObject({ bytesUp: 30, bytesDown: 305 })
  expect(batch?.entries.slice(0, 2)).toMatchObject([
    { id: 'c1', durationMs: 5, bytesUp: 30 },
    { id: 'x1', count: 2 },
  ])
  // No more of them than in any batch.
  expect(batch?.entries).toHaveLength(201)
  expect(batch?.entries.at(-1)).toMatchObject({ host: 'other hosts', count: 102 })
})
