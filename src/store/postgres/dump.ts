// Everything that Errand keeps in its database as lines of text, out of one moment and into an empty database. Values are
// PostgreSQL's own text of them, so that a dump fits any version of it and any place. What else a shared database holds is
// left alone.
import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { AppError } from '../../protocol/errors.ts'
import { migrate, readSchemaName } from '../migrate.ts'
import { clientConfig, type DatabaseConnection, impatientSocket } from './database.ts'
import { toDatabaseError } from './database-errors.ts'

/** In an order in which every row finds what it refers to. Those of better-auth begin with `auth_`. */
export const DUMPED_TABLES = [
  { name: 'settings', order: ['key'] },
  { name: 'auth_users', order: ['id'] },
  { name: 'auth_sessions', order: ['id'] },
  { name: 'auth_accounts', order: ['id'] },
  { name: 'auth_verifications', order: ['id'] },
  { name: 'auth_tokens', order: ['id'] },
  { name: 'environments', order: ['id'] },
  { name: 'credentials', order: ['id'] },
  { name: 'uploads', order: ['id'] },
  { name: 'standbys', order: ['session_id'] },
  { name: 'layers', order: ['id'] },
  { name: 'sessions', order: ['id'] },
  { name: 'events', order: ['session_id', 'seq'] },
  { name: 'effects', order: ['position'] },
  { name: 'usage_requests', order: ['session_id', 'request_id'] },
  { name: 'network_log', order: ['session_id', 'n'] },
  { name: 'network_usage', order: ['session_id', 'day'] },
] as const

/** The columns, then rows of their values as text. */
export interface TableDump {
  name: string
  columns: string[]
  rows: AsyncIterable<(string | null)[]>
}

/** How values look as text must not depend on the settings of a server. */
const TEXT_SETTINGS = `
  set timezone to 'UTC'; set datestyle to 'ISO'; set bytea_output to 'hex'; set extra_float_digits to 1;
  set client_encoding to 'UTF8'; set statement_timeout to 0; set idle_in_transaction_session_timeout to 0`
const FETCH_ROWS = 200
/** No statement here is long, but it may have a slow disk or a large row to itself. */
const SILENCE_LIMIT_MS = 120_000
/** Of one insert statement. PostgreSQL takes 65,535 parameters. */
const INSERT_ROWS = 500
const INSERT_CHARS = 8 << 20

/** Calls `take` with one table after the other, all as they were at one moment. Returns the name of the schema. */
export async function dumpDatabase(
  connection: DatabaseConnection,
  take: (table: TableDump) => Promise<void>,
  silenceLimitMs?: number,
): Promise<string> {
  const dump = async (client: pg.Client) => {
    const schema = await schemaOf(connection)
    if (schema === undefined) {
      const message = 'This database was never used by Errand: there is nothing to back up.'
      throw new AppError('not_found', 'database_empty', message)
    }
    await client.query('begin transaction isolation level repeatable read read only')
    for (const { name, order } of DUMPED_TABLES) {
      const columns = await columnsOf(client, name)
      if (columns.length === 0) continue
      await take({ name, columns, rows: readRows(client, { name, columns, order }) })
    }
    await client.query('commit')
    return schema
  }
  return withClient(connection, dump, silenceLimitMs)
}

export async function requireEmptyDatabase(connection: DatabaseConnection): Promise<void> {
  const present = await withClient(connection, presentTables)
  if (present.length > 0) {
    const message = `The database holds tables of Errand already (${present.join(', ')}). Name an empty one.`
    throw new AppError('conflict', 'database_not_empty', message)
  }
}

/** Makes the tables of Errand's own as they were in that schema. */
export async function makeTables(connection: DatabaseConnection, schema: string): Promise<void> {
  await withKysely(connection, (db) => migrate(db, schema))
}

/** All rows or none. The tables have to be there and empty. Returns how many rows each got. */
export async function loadDatabase(
  connection: DatabaseConnection,
  tables: AsyncIterable<TableDump>,
  silenceLimitMs?: number,
): Promise<Record<string, number>> {
  const load = async (client: pg.Client) => {
    const counts: Record<string, number> = {}
    await client.query('begin')
    for await (const table of tables) {
      const known = await columnsOf(client, table.name)
      const missing = table.columns.filter((column) => !known.includes(column))
      if (missing.length > 0 || !isDumped(table.name)) {
        const message = `The backup has what this version does not know: ${table.name} ${missing.join(', ')}`
        throw new AppError('unsupported', 'backup_foreign_table', message)
      }
      counts[table.name] = await insertRows(client, table)
      await setIdentities(client, table.name)
    }
    await client.query('commit')
    return counts
  }
  return withClient(connection, load, silenceLimitMs)
}

/** Takes away what `makeTables` and a failed load left; only for a database that was empty before. */
export async function dropTables(connection: DatabaseConnection): Promise<void> {
  await withClient(connection, async (client) => {
    for (const name of await presentTables(client))
      await client.query(`drop table if exists ${pg.escapeIdentifier(name)} cascade`)
  })
}

function isDumped(name: string): boolean {
  return DUMPED_TABLES.some((table) => table.name === name)
}

async function schemaOf(connection: DatabaseConnection): Promise<string | undefined> {
  return withKysely(connection, readSchemaName)
}

async function presentTables(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    'select tablename as name from pg_tables where schemaname = current_schema() order by 1',
  )
  return rows
    .map(({ name }) => name)
    .filter((name) => isDumped(name) || name.startsWith('errand_migrations'))
}

async function columnsOf(client: pg.Client, table: string): Promise<string[]> {
  const text = `select column_name as name from information_schema.columns
    where table_schema = current_schema() and table_name = $1 order by ordinal_position`
  const { rows } = await client.query<{ name: string }>(text, [table])
  return rows.map(({ name }) => name)
}

async function* readRows(
  client: pg.Client,
  { name, columns, order }: { name: string; columns: string[]; order: readonly string[] },
): AsyncGenerator<(string | null)[]> {
  const values = columns.map((column) => `${pg.escapeIdentifier(column)}::text`).join(', ')
  const table = pg.escapeIdentifier(name)
  // With the table's name: alone it would mean the text, in which 10 comes before 2.
  const by = order.map((column) => `${table}.${pg.escapeIdentifier(column)}`).join(', ')
  await client.query(
    `declare dump no scroll cursor for select ${values} from ${table} order by ${by}`,
  )
  for (;;) {
    const query = { text: `fetch ${FETCH_ROWS} from dump`, rowMode: 'array' as const }
    const { rows } = await client.query<(string | null)[]>(query)
    if (rows.length === 0) break
    yield* rows
  }
  await client.query('close dump')
}

async function insertRows(client: pg.Client, { name, columns, rows }: TableDump): Promise<number> {
  let count = 0
  let batch: (string | null)[][] = []
  let chars = 0
  const flush = async () => {
    if (batch.length > 0) await insertBatch(client, { name, columns, batch })
    count += batch.length
    batch = []
    chars = 0
  }
  for await (const row of rows) {
    if (row.length !== columns.length)
      throw new AppError(
        'invalid',
        'backup_damaged',
        `A row of ${name} has not as many values as columns.`,
      )
    batch.push(row)
    chars += row.reduce((sum, value) => sum + (value?.length ?? 0), 0)
    if (batch.length === INSERT_ROWS || chars > INSERT_CHARS) await flush()
  }
  await flush()
  return count
}

async function insertBatch(
  client: pg.Client,
  { name, columns, batch }: { name: string; columns: string[]; batch: (string | null)[][] },
): Promise<void> {
  const names = columns.map((column) => pg.escapeIdentifier(column)).join(', ')
  let parameter = 0
  const tuples = batch.map((row) => `(${row.map(() => `$${++parameter}`).join(', ')})`)
  // Numbers that the database counts itself are kept as they were.
  const text = `insert into ${pg.escapeIdentifier(name)} (${names}) overriding system value values ${tuples.join(', ')}`
  await client.query(text, batch.flat())
}

/** The database goes on counting behind what was loaded. */
async function setIdentities(client: pg.Client, table: string): Promise<void> {
  const text = `select column_name as name from information_schema.columns
    where table_schema = current_schema() and table_name = $1 and is_identity = 'YES'`
  const { rows } = await client.query<{ name: string }>(text, [table])
  for (const { name } of rows) {
    const column = pg.escapeIdentifier(name)
    const last = `select max(${column}) from ${pg.escapeIdentifier(table)}`
    await client.query(
      `select setval(pg_get_serial_sequence($1, $2), (${last})) where (${last}) is not null`,
      [pg.escapeIdentifier(table), name],
    )
  }
}

async function withClient<T>(
  connection: DatabaseConnection,
  work: (client: pg.Client) => Promise<T>,
  silenceLimitMs = SILENCE_LIMIT_MS,
): Promise<T> {
  const client = new pg.Client({
    ...clientConfig(connection),
    application_name: 'errand-dump',
    stream: () => impatientSocket(silenceLimitMs),
  })
  let isBroken = false
  // Who uses it meets the error at the next statement.
  client.on('error', () => {
    isBroken = true
  })
  await client.connect()
  try {
    await client.query(TEXT_SETTINGS)
    return await work(client)
  } catch (error) {
    throw isBroken ? toDatabaseError(error) : error
  } finally {
    await client.end()
  }
}

function withKysely<T>(
  connection: DatabaseConnection,
  work: (db: Kysely<unknown>) => Promise<T>,
): Promise<T> {
  return withPool(connection, (pool) =>
    work(new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) })),
  )
}

/** For who makes tables of its own before the load. */
export async function withPool<T>(
  connection: DatabaseConnection,
  work: (pool: pg.Pool) => Promise<T>,
): Promise<T> {
  const stream = () => impatientSocket(SILENCE_LIMIT_MS)
  const pool = new pg.Pool({ ...clientConfig(connection), max: 2, stream })
  pool.on('error', () => undefined)
  try {
    return await work(pool)
  } finally {
    await pool.end()
  }
}
