import { afterAll, beforeAll, expect, test } from 'vitest'
import { type FoundSession, isUnreadable } from '../protocol/found-session.ts'
import type { SessionState } from '../protocol/session.ts'
import { startTestDatabase, type TestDatabase } from './postgres/database.fixture.ts'
import { appends, nextTestId, renamed } from './session.fixture.ts'
import type { Store } from './store.ts'

let database: TestDatabase
let store: Store
let nowMs = Date.parse('2030-01-01T00:00:00Z')

beforeAll(async () => {
  database = await startTestDatabase()
  store = await database.openStore({ clock: () => new Date(nowMs) })
})
afterAll(() => database.stop())

async function makeSession(state: Partial<SessionState>, deadlineAt: Date | null = null) {
  const id = nextTestId()
  nowMs += 1_000
  await store.change(id, appends(id, [renamed('a')], { state, deadlineAt }))
  return id
}

const ids = (sessions: FoundSession[]) => sessions.map((session) => session.id)

test('lists go by owner, latest change first, in pages, without the archived', async () => {
  const ownerId = 'lister'
  const made = []
  for (let count = 0; count < 5; count++) made.push(await makeSession({ ownerId }))
  const archived = await makeSession({ ownerId, status: 'archived' })
  await makeSession({ ownerId: 'somebody else' })
  const [oldest = ''] = made
  nowMs += 1_000
  await store.change(oldest, appends(oldest, [renamed('b')]))
  const expected = [oldest, ...made.slice(1).reverse()]
  const first = await store.sessions.list({ ownerId, limit: 2 })
  const second = await store.sessions.list({ ownerId, limit: 2, before: first.next ?? '' })
  const third = await store.sessions.list({ ownerId, limit: 2, before: second.next ?? '' })
  expect([...ids(first.sessions), ...ids(second.sessions), ...ids(third.sessions)]).toEqual(
    expected,
  )
  expect(third.next).toBeNull()
  const all = await store.sessions.list({ ownerId, includeArchived: true, limit: 10 })
  expect(ids(all.sessions)).toContain(archived)
  const wrong = store.sessions.list({ limit: 1, before: "1.s_' or true" })
  await expect(wrong).rejects.toMatchObject({ reason: 'cursor_invalid' })
})

test('the start of an id finds sessions of that owner only', async () => {
  const id = await makeSession({ ownerId: 'finder' })
  expect(ids(await store.sessions.findByPrefix('finder', id.slice(0, 20)))).toEqual([id])
  expect(ids(await store.sessions.findByPrefix('finder', id.slice(2)))).toEqual([id])
  expect(await store.sessions.findByPrefix('stranger', id)).toEqual([])
  expect(await store.sessions.findByPrefix('finder', '%')).toEqual([])
})

test('ids of tests sort as they were made, which the tests below count on', () => {
  const made = Array.from({ length: 1100 }, nextTestId)
  expect(made).toEqual(made.toSorted())
})

test('sessions are found by the state of their sandbox and by their deadline', async () => {
  const sandbox = (state: SessionState['sandbox']['state']) => ({
    sandbox: {
      state,
      generation: 1,
      isolation: null,
      isReplacement: false,
      busySince: null,
      phases: [],
    },
  })
  const soon = new Date(nowMs + 60_000)
  const later = new Date(nowMs + 120_000)
  const ready = await makeSession(sandbox('ready'), later)
  const preparing = await makeSession(sandbox('preparing'), soon)
  await makeSession(sandbox('stopped'))
  expect(ids(await store.sessions.listBySandboxState(['ready', 'preparing']))).toEqual([
    ready,
    preparing,
  ])
  expect(await store.sessions.nextDeadline()).toEqual(soon)
  expect(await store.sessions.listOverdue(new Date(soon.getTime() - 1), 10)).toEqual([])
  expect(await store.sessions.listOverdue(later, 10)).toEqual([preparing, ready])
  await store.change(preparing, appends(preparing, [renamed('b')], { deadlineAt: null }))
  expect(await store.sessions.listOverdue(later, 10)).toEqual([ready])
})

test('one state that cannot be read spoils no list, is listed as such and can be removed', async () => {
  const ownerId = 'spoiled'
  const sandbox = { generation: 1, isolation: null, isReplacement: false, busySince: null }
  const ready = { sandbox: { ...sandbox, state: 'ready' as const, phases: [] } }
  const good = await makeSession({ ownerId, ...ready })
  const bad = await makeSession({ ownerId, ...ready })
  const worse = await makeSession({ ownerId, status: 'archived' })
  const { repository } = (await store.sessions.get(bad)) ?? {}
  const write = (id: string, state: unknown) =>
    store.pool.query('update sessions set state = $2 where id = $1', [id, JSON.stringify(state)])
  await write(bad, { v: 9, title: 'Fix it', repository })
  await write(worse, null)
  const listed = async (includeArchived: boolean) =>
    (await store.sessions.list({ ownerId, includeArchived, limit: 5 })).sessions
  expect(ids(await listed(false))).toEqual([bad, good])
  const [last, before] = (await listed(true)).filter(isUnreadable)
  expect(last).toMatchObject({ id: worse, isArchived: true, repository: { name: 'unknown' } })
  expect(before).toMatchObject({
    ownerId,
    lastSeq: 1,
    isArchived: false,
    title: 'Fix it',
    repository,
  })
  expect((await store.sessions.findByPrefix(ownerId, bad)).filter(isUnreadable)).toHaveLength(1)
  expect(ids(await store.sessions.listBySandboxState(['ready']))).not.toContain(bad)
  await expect(store.sessions.get(bad)).rejects.toMatchObject({ reason: 'state_unreadable' })
  const end = { kind: 'remove', lane: 'test', payload: null }
  for (const id of [bad, worse]) expect(await store.sessions.remove(id, end)).toBe(true)
  expect(ids(await listed(true))).toEqual([good])
})
