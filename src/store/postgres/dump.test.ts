import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSilentLogger } from '../../lib/logger.ts'
import { appends, nextTestId, renamed } from '../session.fixture.ts'
import { openStore } from '../store.ts'
import { startDistantDatabase, startTestDatabase, type TestDatabase } from './database.fixture.ts'
import { clientConfig, type DatabaseConnection } from './database.ts'
import {
  dropTables,
  dumpDatabase,
  loadDatabase,
  makeTables,
  requireEmptyDatabase,
  type TableDump,
} from './dump.ts'

let database: TestDatabase
let empty: DatabaseConnection

const sealingKey = Buffer.alloc(32, 7)
const STRANGE = 'null \u0000, half \ud800, quote \' " \\ $1, line\nbreak, \u{1f600}'

beforeAll(async () => {
  database = await startTestDatabase()
  const client = new pg.Client(clientConfig(database.connection))
  await client.connect()
  await client.query('create database other')
  await client.end()
  empty = { ...database.connection, database: 'other' }
})
afterAll(() => database.stop())

async function dumpAll(connection: DatabaseConnection) {
  const tables: (Omit<TableDump, 'rows'> & { rows: (string | null)[][] })[] = []
  const schema = await dumpDatabase(connection, async ({ rows, ...table }) => {
    const all: (string | null)[][] = []
    for await (const row of rows) all.push(row)
    tables.push({ ...table, rows: all })
  })
  return { schema, tables }
}

type Dumped = Awaited<ReturnType<typeof dumpAll>>['tables']

async function* streamed(tables: Dumped): AsyncGenerator<TableDump> {
  for (const { rows, ...table } of tables) {
    yield {
      ...table,
      rows: (async function* () {
        yield* rows
      })(),
    }
  }
}

describe('a dump', () => {
  it('makes the same database again, whatever characters are in it', async () => {
    const store = await database.openStore({ sealingKey })
    const id = nextTestId()
    const many = Array.from({ length: 700 }, (_, index) => renamed(`${index} ${STRANGE}`))
    await store.change(
      id,
      appends(id, many, { effects: [{ kind: 'test', lane: 'test', payload: { STRANGE } }] }),
    )
    const credential = await store.credentials.create({
      ...{ ownerId: 'owner', host: 'git.example', kind: 'https', username: 'me', secret: 'hidden' },
    })
    const { schema, tables } = await dumpAll(database.connection)
    const rows = tables.find(({ name }) => name === 'events')?.rows ?? []
    expect(rows.map(([, seq]) => Number(seq))).toEqual(many.map((_, index) => index + 1))

    await requireEmptyDatabase(empty)
    await makeTables(empty, schema)
    const counts = await loadDatabase(empty, streamed(tables))
    expect(counts).toMatchObject({ sessions: 1, events: 700, credentials: 1, effects: 1 })
    expect(await dumpAll(empty)).toEqual({ schema, tables })

    const logger = createSilentLogger()
    const restored = await openStore({ connection: empty, logger, sealingKey })
    const { events } = await restored.readEvents(id, { afterSeq: 0, limit: 1000 })
    expect(events.at(-1)?.body).toEqual({ type: 'session.renamed', title: `699 ${STRANGE}` })
    expect(await restored.credentials.openSecret('owner', credential.id)).toBe('hidden')
    // Numbers that the database gives go on behind the old ones.
    await restored.change(
      id,
      appends(id, [renamed('next')], { effects: [{ kind: 'test', lane: 'test', payload: {} }] }),
    )
    await restored.close()
  })

  it('refuses a database that is in use, and drops what is its own alone', async () => {
    await expect(requireEmptyDatabase(empty)).rejects.toMatchObject({
      reason: 'database_not_empty',
    })
    const client = new pg.Client(clientConfig(empty))
    await client.connect()
    await client.query('create table of_others (id int)')
    await dropTables(empty)
    const { rows } = await client.query(
      "select tablename from pg_tables where schemaname = 'public'",
    )
    await client.end()
    expect(rows).toEqual([{ tablename: 'of_others' }])
  })

  it('loads nothing of a dump that breaks off', async () => {
    const { schema, tables } = await dumpAll(database.connection)
    await requireEmptyDatabase(empty)
    await makeTables(empty, schema)
    async function* broken() {
      yield* streamed(tables)
      throw new Error('the archive ends here')
    }
    await expect(loadDatabase(empty, broken())).rejects.toThrow('ends here')
    const { tables: loaded } = await dumpAll(empty)
    expect(loaded.flatMap(({ rows }) => rows)).toEqual([])
  })

  it('has every table that this version makes', async () => {
    const { tables } = await dumpAll(database.connection)
    const client = new pg.Client(clientConfig(database.connection))
    await client.connect()
    const { rows } = await client.query(
      "select tablename as name from pg_tables where schemaname = 'public' and tablename not like 'errand_migrations%'",
    )
    await client.end()
    expect(tables.map(({ name }) => name).toSorted()).toEqual(
      rows.map(({ name }) => name).toSorted(),
    )
  })
})

describe('a database that is gone without a word', () => {
  const gone = { code: 'unavailable', reason: 'database_unreachable' }
  const limitMs = 2_000

  it('ends a dump in the middle', async () => {
    const store = await openStore({ ...database, logger: createSilentLogger(), sealingKey })
    await store.close()
    const distant = await startDistantDatabase(database)
    const dumping = dumpDatabase(
      distant.connection,
      async ({ rows }) => {
        distant.pullCable()
        for await (const _ of rows);
      },
      limitMs,
    )
    await expect(dumping).rejects.toMatchObject(gone)
    distant.close()
  })

  it('ends a load in the middle', async () => {
    const distant = await startDistantDatabase(database)
    async function* tables(): AsyncGenerator<TableDump> {
      distant.pullCable()
      yield { name: 'settings', columns: ['key'], rows: (async function* () {})() }
    }
    const loading = loadDatabase(distant.connection, tables(), limitMs)
    await expect(loading).rejects.toMatchObject(gone)
    distant.close()
  })
})
