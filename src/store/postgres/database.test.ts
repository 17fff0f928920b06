import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createSilentLogger } from '../../lib/logger.ts'
import { startDistantDatabase, startTestDatabase, type TestDatabase } from './database.fixture.ts'
import { openDatabase } from './database.ts'

let database: TestDatabase

beforeAll(async () => {
  database = await startTestDatabase()
})
afterAll(() => database.stop())

test('a database that is gone without a word holds nobody up for long, and is used again when it is back', async () => {
  const distant = await startDistantDatabase(database)
  const { db, pool, close } = await openDatabase({
    connection: distant.connection,
    logger: createSilentLogger(),
    maxConnections: 2,
    silenceLimitMs: 2_000,
  })
  const ask = async () => (await sql<{ n: number }>`select 7 as n`.execute(db)).rows
  expect(await Promise.all([ask(), pool.query('select 7 as n')])).toMatchObject([
    [{ n: 7 }],
    { rows: [{ n: 7 }] },
  ])
  const gone = { code: 'unavailable', reason: 'database_unreachable' }
  const cut = db.transaction().execute(async (tx) => {
    await sql`select 1`.execute(tx)
    distant.pullCable()
    await sql`select 2`.execute(tx)
  })
  await expect(cut).rejects.toMatchObject(gone)
  await expect.poll(ask).toEqual([{ n: 7 }])
  await close()
  distant.close()
})
