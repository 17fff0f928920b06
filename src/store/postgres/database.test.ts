import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createSilentLogger } from '../../lib/logger.ts'
import { startTestDatabase, type TestDatabase } from './database.fixture.ts'
import { openDatabase } from './database.ts'

let database: TestDatabase

beforeAll(async () => {
  database = await startTestDatabase()
})
afterAll(() => database.stop())

/** A database on another machine whose cable can be pulled: lines that were open then neither bring anything nor end. */
async function startDistantDatabase() {
  const sockets: Socket[] = []
  const server = createServer((near) => {
    const far = connect(`${database.connection.host}/.s.PGSQL.5432`)
    for (const [from, to] of [near, far].map(
      (end, index, ends) => [end, ends[1 - index]] as const,
    )) {
      from.on('error', () => undefined)
      from.pipe(to as Socket)
      sockets.push(from)
    }
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    connection: { ...database.connection, host: '127.0.0.1', port },
    pullCable: () => {
      for (const socket of sockets) socket.unpipe().pause()
    },
    close: () => {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

test('a database that is gone without a word holds nobody up for long, and is used again when it is back', async () => {
  const distant = await startDistantDatabase()
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
