// A real PostgreSQL for tests: each file has a database of its own, on a server that is its alone meanwhile.
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import pg from 'pg'
import { inject } from 'vitest'
import { createSilentLogger } from '../../lib/logger.ts'
import { openStore, type Store } from '../store.ts'
import type { EmbeddedPostgres } from './embedded-postgres.ts'

type Connection = EmbeddedPostgres['connection']

export interface TestDatabase {
  connection: Connection
  openStore(options?: { clock?: () => Date; sealingKey?: Uint8Array }): Promise<Store>
  stop(): Promise<void>
}

/** For `beforeAll`; call `stop` in `afterAll`. The suite has lent-servers.fixture.ts as its global set-up. */
export async function startTestDatabase(): Promise<TestDatabase> {
  const logger = createSilentLogger()
  const { server, giveBack } = await borrowServer()
  const database = `file_${randomBytes(8).toString('hex')}`
  await query(server, `create database ${database}`)
  const connection = { ...server, database }
  const stores: Store[] = []
  return {
    connection,
    openStore: async (options = {}) => {
      const store = await openStore({
        ...{ connection, logger, sealingKey: randomBytes(32) },
        ...options,
      })
      stores.push(store)
      return store
    },
    stop: async () => {
      await Promise.allSettled(stores.map((store) => store.close()))
      await query(server, `drop database ${database} with (force)`)
      await giveBack()
    },
  }
}

/** A database on another machine whose cable can be pulled: lines that were open then neither bring anything nor end. */
export async function startDistantDatabase(database: TestDatabase) {
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

async function borrowServer(): Promise<{ server: Connection; giveBack(): Promise<void> }> {
  const lender = connect(inject('databaseServers'))
  const [line]: string[] = await once(createInterface(lender), 'line')
  const told: Connection & { error?: string } = JSON.parse(line ?? '{}')
  if (told.error !== undefined) throw new Error(told.error)
  const giveBack = async () => {
    const closed = once(lender, 'close')
    lender.end()
    await closed
  }
  return { server: told, giveBack }
}

async function query(connection: Connection, statement: string): Promise<void> {
  const client = new pg.Client(connection)
  await client.connect()
  await client.query(statement).finally(() => client.end())
}
