import { afterAll, beforeAll, expect, test } from 'vitest'
import { createSilentLogger } from '../lib/logger.ts'
import type { NetworkEntry } from '../protocol/network-log.ts'
import { startTestDatabase, type TestDatabase } from './postgres/database.fixture.ts'
import { createNotifications } from './postgres/notifications.ts'
import { appends, nextTestId, renamed } from './session.fixture.ts'
import type { Store } from './store.ts'

let database: TestDatabase
let store: Store

beforeAll(async () => {
  database = await startTestDatabase()
  store = await database.openStore()
})
afterAll(() => database.stop())

const entry = (id: string, fields: Partial<NetworkEntry> = {}): Omit<NetworkEntry, 'n'> => ({
  ...{ id, at: '2026-01-02T12:00:00.000Z', host: 'a.example', port: 443, method: 'CONNECT' },
  ...{ allowed: true, reason: null, bytesUp: 5, bytesDown: 2 ** 40, durationMs: 7, count: 1 },
  ...fields,
})
const moved = (bytesUp: number, bytesDown: number) => ({ day: '2026-01-02', bytesUp, bytesDown })

async function newSession(): Promise<string> {
  const id = nextTestId()
  await store.change(id, appends(id, [renamed('a')]))
  return id
}

test('an entry that is told again takes the place of the earlier, at the end', async () => {
  const id = await newSession()
  const log = store.networkLog
  await log.add(id, { entries: [entry('a', { durationMs: null }), entry('b')], moved: moved(1, 2) })
  expect(await log.read(id, { after: 0, limit: 1 })).toMatchObject({
    ...{ entries: [{ id: 'a', n: 1, durationMs: null }], through: 1, more: true },
  })
  const ended = entry('a', { bytesUp: 9, reason: 'policy_changed' })
  await log.add(id, { entries: [ended], moved: moved(10, 2 ** 40) })
  const page = await log.read(id, { after: 1, limit: 10 })
  expect(page).toEqual({
    entries: [
      { ...entry('b'), n: 2 },
      { ...ended, n: 3 },
    ],
    ...{ through: 3, more: false },
  })
  expect(await log.usage(id, '2026-01-02')).toEqual(moved(11, 2 ** 40 + 2))
  expect(await log.usage(id, '2026-01-03')).toMatchObject({ bytesUp: 0, bytesDown: 0 })
})

test('only the newest are kept, and what is open', async () => {
  const id = await newSession()
  const open = entry('open', { durationMs: null })
  await store.networkLog.add(id, { entries: [open], moved: moved(0, 0) })
  for (let batch = 0; batch < 11; batch++) {
    const entries = Array.from({ length: 200 }, (_, index) => entry(`${batch} ${index}`))
    await store.networkLog.add(id, { entries, moved: moved(0, 0) })
  }
  const first = await store.networkLog.read(id, { after: 0, limit: 1_000 })
  expect(first.entries[0]?.id).toBe('open')
  const rest = await store.networkLog.read(id, { after: first.through, limit: 2_000 })
  expect(first.entries.length + rest.entries.length).toBe(2_001)
  expect(rest.through).toBe(2_201)
  await store.networkLog.endOpen('gateway_ended')
  const [ended] = (await store.networkLog.read(id, { after: 0, limit: 1 })).entries
  expect(ended).toMatchObject({ id: 'open', durationMs: 0, reason: 'gateway_ended' })
})

test('whoever listens hears of it, and a session that is gone takes nothing', async () => {
  const id = await newSession()
  const notifications = await createNotifications({
    ...{ connection: database.connection, logger: createSilentLogger() },
  })
  const heard = new Promise<string>((resolve) => notifications.onNetwork(resolve))
  expect(await store.networkLog.add(id, { entries: [entry('a')], moved: moved(0, 0) })).toBe(true)
  expect(await heard).toBe(id)
  await notifications.close()
  const nobody = nextTestId()
  const batch = { entries: [entry('a')], moved: moved(0, 0) }
  expect(await store.networkLog.add(nobody, batch)).toBe(false)
})

test("changes of the owner's lists at once all hold, and are told", async () => {
  const notifications = await createNotifications({
    ...{ connection: database.connection, logger: createSilentLogger() },
  })
  const heard = new Promise<void>((resolve) => notifications.onInstallation(resolve))
  const { installationNetwork } = store
  await Promise.all([
    installationNetwork.patch({ deny: ['b.example', 'a.example', 'b.example'] }),
    installationNetwork.patch({ allow: ['c.example'] }),
    installationNetwork.patch({ limits: { bytesPerDay: 1 << 30 } }),
  ])
  await heard
  expect(await installationNetwork.get()).toEqual({
    ...{ allow: ['c.example'], deny: ['a.example', 'b.example'] },
    limits: { connectionsPerSecond: null, bytesPerDay: 1 << 30 },
  })
  await notifications.close()
})
