// What a worker held that has ended, on a real database.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createSilentLogger } from '../lib/logger.ts'
import { AppError } from '../protocol/errors.ts'
import { createId } from '../protocol/ids.ts'
import type { Store } from '../store/store.ts'
import { endLeftLeases } from './left-leases.ts'
import { exampleId, exampleSession } from './starting/new-session.fixture.ts'
import { openWorkshop, type Workshop } from './worker.fixture.ts'

const LEASE_MS = 600_000
const logger = createSilentLogger()
const hasEnded = async (process: string) => process === 'ended'

let shop: Workshop
let store: Store

beforeAll(async () => {
  shop = await openWorkshop()
  ;({ store } = shop)
})
afterAll(() => shop.close())
beforeEach(() => store.pool.query('delete from sessions; delete from effects; delete from layers'))

let made = 0

function claimLayer(key: string, holder: string) {
  const { environment, ownerId } = exampleSession(1)
  made += 1
  return store.layers.claim({
    ...{ key, holder, leaseMs: LEASE_MS, ownerId, environmentId: environment.id },
    ...{ notBefore: new Date(0), waitingSince: undefined, recipe: { environment, files: [] } },
    ids: {
      layerId: createId('layer', new Uint8Array(20).fill(made)),
      sandboxId: exampleId('session', made),
    },
  })
}

describe('what a worker held that has ended', () => {
  it('is taken over at once, and what one holds that may live stays with it', async () => {
    const ofEnded = await shop.createSession()
    await shop.createSession()
    const claim = (workerId: string) => store.effects.claim({ workerId, leaseMs: LEASE_MS })
    for (const workerId of ['ended', 'other']) expect(await claim(workerId)).toBeDefined()
    await claimLayer('one', 'ended 1')
    await claimLayer('two', 'other 1')
    await endLeftLeases({ leases: [store.layers, store.effects], hasEnded, logger })
    expect(await claim('heir')).toMatchObject({ sessionId: ofEnded.id, generation: 2 })
    expect(await claim('heir')).toBeUndefined()
    expect((await claimLayer('one', 'heir 1')).claimed).toBe(true)
    expect((await claimLayer('two', 'heir 2')).claimed).toBe(false)
  })

  it('waits for its time where nobody can be asked, and nothing else does', async () => {
    await shop.createSession()
    await store.effects.claim({ workerId: 'ended', leaseMs: LEASE_MS })
    const away = async () => {
      throw new AppError('unavailable', 'database_unreachable', 'Away.')
    }
    const leases = [{ ...store.effects, holders: away }]
    await endLeftLeases({ leases, hasEnded, logger })
    expect(await store.effects.claim({ workerId: 'heir', leaseMs: LEASE_MS })).toBeUndefined()
  })
})
