import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createSilentLogger } from '../lib/logger.ts'
import { startTestDatabase, type TestDatabase } from './postgres/database.fixture.ts'
import { clientConfig } from './postgres/database.ts'
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

const refuse = () => ({ refusal: { code: 'conflict', reason: 'no', message: 'no' } }) as const

test('the first event makes the session, later ones are numbered on', async () => {
  const id = nextTestId()
  const first = await store.change(id, appends(id, [renamed('a'), renamed('b')]))
  expect(first).toMatchObject({ events: [{ seq: 1 }, { seq: 2 }], state: { lastSeq: 2 } })
  await store.change(id, appends(id, [renamed('c')], { state: { title: 'c' }, ackedN: 7 }))
  const { events } = await store.readEvents(id, { afterSeq: 0, limit: 10 })
  expect(events.map((event) => [event.seq, event.body])).toEqual([
    [1, { type: 'session.renamed', title: 'a' }],
    [2, { type: 'session.renamed', title: 'b' }],
    [3, { type: 'session.renamed', title: 'c' }],
  ])
  expect(await store.sessions.get(id)).toMatchObject({ title: 'c', lastSeq: 3 })
  await store.change(id, (context) => {
    expect(context).toMatchObject({ ackedN: 7, lastSeq: 3, state: { title: 'c' } })
    return refuse()
  })
})

test('changes of one session wait for each other and leave no gap', async () => {
  const id = nextTestId()
  const writers = Array.from({ length: 40 }, (_, index) =>
    store.change(id, appends(id, [renamed(`${index}.1`), renamed(`${index}.2`)])),
  )
  await Promise.all(writers)
  const { events } = await store.readEvents(id, { afterSeq: 0, limit: 100 })
  expect(events.map((event) => event.seq)).toEqual(Array.from({ length: 80 }, (_, i) => i + 1))
  const pairs = events.map((event) => (event.body as { title: string }).title.split('.')[0])
  for (let index = 0; index < 80; index += 2) expect(pairs[index]).toBe(pairs[index + 1])
})

test('a refusal writes nothing', async () => {
  const id = nextTestId()
  expect(await store.change(id, refuse)).toEqual(refuse())
  expect(await store.sessions.get(id)).toBeUndefined()
})

test('a state that does not follow from the events is refused and rolled back', async () => {
  const id = nextTestId()
  const wrong = store.change(id, (context) => {
    const change = appends(id, [renamed('a')])(context)
    return { ...change, state: { ...change.state, lastSeq: 5 } }
  })
  await expect(wrong).rejects.toMatchObject({ reason: 'state_out_of_step' })
  expect((await store.readEvents(id, { afterSeq: 0, limit: 1 })).events).toEqual([])
})

test('text is kept as it is, NUL and lone surrogates included', async () => {
  const id = nextTestId()
  const title = 'a\u0000b\ud800c "\\u0000" 𝄞'
  await store.change(id, appends(id, [renamed(title)], { state: { title } }))
  const { events } = await store.readEvents(id, { afterSeq: 0, limit: 1 })
  expect(events[0]?.body).toEqual({ type: 'session.renamed', title })
  expect((await store.sessions.get(id))?.title).toBe(title)
})

test('a thousand events and more go in at once and come out in pages', async () => {
  const id = nextTestId()
  const many = Array.from({ length: 2_500 }, (_, index) => renamed(String(index)))
  await store.change(id, appends(id, many))
  let afterSeq = 0
  const sizes: number[] = []
  for (let more = true; more; ) {
    const page = await store.readEvents(id, { afterSeq, limit: 1_000 })
    sizes.push(page.events.length)
    more = page.more
    afterSeq = page.through
  }
  expect(sizes).toEqual([1_000, 1_000, 500])
})

test('readers skip a type that they do not know and still go on', async () => {
  const id = nextTestId()
  await store.change(id, appends(id, [renamed('a'), renamed('b')]))
  const foreign = JSON.stringify({ type: 'moon.landed', craft: 7 })
  await store.pool.query('update events set body = $2 where session_id = $1 and seq = 2', [
    id,
    foreign,
  ])
  expect(await store.readEvents(id, { afterSeq: 0, limit: 1 })).toMatchObject({ more: true })
  const last = await store.readEvents(id, { afterSeq: 1, limit: 1 })
  expect(last).toEqual({ events: [], through: 2, more: false })
})

test('what is reported twice is stored once in a session', async () => {
  const [one, two] = [nextTestId(), nextTestId()]
  const options = { reportId: 'req_1' }
  for (const id of [one, two]) {
    expect(await store.change(id, appends(id, [renamed('a')]), options)).toHaveProperty('events')
  }
  const [again] = await Promise.all(
    [1, 2].map(() => store.change(one, appends(one, [renamed('b')]), options)),
  )
  expect(again).toMatchObject({ refusal: { reason: 'already_counted' } })
  expect((await store.sessions.get(one))?.lastSeq).toBe(1)
})

test('others hear of a change after its commit and never before', async () => {
  const id = nextTestId()
  const { connection } = database
  const notifications = await createNotifications({ connection, logger: createSilentLogger() })
  const heard: unknown[] = []
  const { promise: waited, resolve } = Promise.withResolvers<void>()
  notifications.onSession(async (sessionId, seq) => {
    const page = await store.readEvents(sessionId, { afterSeq: 0, limit: 10 })
    heard.push([sessionId, seq, page.through])
    if (sessionId === id && seq === 2) resolve()
  })
  const refused = nextTestId()
  await store.change(refused, refuse)
  await store.change(id, appends(id, [renamed('a'), renamed('b')]))
  await waited
  expect(heard).toEqual([[id, 2, 2]])
  await notifications.close()
})

test('a listener that lost its connection says so when it is back', async () => {
  const { connection } = database
  const notifications = await createNotifications({
    connection,
    logger: createSilentLogger(),
    program: 'cut-off',
  })
  const back = new Promise<void>((resolve) => notifications.onReconnect(() => resolve()))
  const cut =
    "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'cut-off%'"
  await store.pool.query(cut)
  await back
  const id = nextTestId()
  const heard = new Promise<string>((resolve) => notifications.onSession(resolve))
  await store.change(id, appends(id, [renamed('a')]))
  expect(await heard).toBe(id)
  await notifications.close()
})

test('removing a session leaves nothing of it in any table', async () => {
  const id = nextTestId()
  const effects = [{ kind: 'prepare', lane: 'test', payload: { id } }]
  await store.change(id, appends(id, [renamed('a')], { effects }), { reportId: 'r' })
  const last = { kind: 'remove', lane: 'test', payload: null }
  expect(await store.sessions.remove(id, last)).toBe(true)
  expect(await store.sessions.remove(id, last)).toBe(false)
  const removing = await store.effects.claim({ workerId: 'w', leaseMs: 30_000 })
  expect(await store.effects.forget(removing?.id ?? '', 1)).toBe(true)
  const client = new pg.Client(clientConfig(database.connection))
  await client.connect()
  const { rows: tables } = await client.query(
    "select table_name from information_schema.tables where table_schema = 'public'",
  )
  for (const { table_name: table } of tables) {
    const { rows } = await client.query(`select count(*) from "${table}" t where t::text like $1`, [
      `%${id}%`,
    ])
    expect([table, rows[0].count]).toEqual([table, 0])
  }
  await client.end()
})
