// One pg.Pool and the Kysely on it. Everything of Errand that talks SQL goes through here; better-auth shares the pool.
import { Socket } from 'node:net'
import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import type { Logger } from '../../lib/logger.ts'
import { migrate } from '../migrate.ts'
import type { Database } from '../schema.ts'
import { translatingPool } from './database-errors.ts'

/** Where a database is: the socket folder of the embedded one, or a URL. */
export type DatabaseConnection =
  | { host: string; user: string; database: string; password?: string; port?: number }
  | { databaseUrl: string }

export interface DatabaseHandle {
  db: Kysely<Database>
  pool: pg.Pool
  close(): Promise<void>
}

export interface OpenDatabaseOptions {
  connection: DatabaseConnection
  logger: Logger
  /** Shown in pg_stat_activity. */
  program?: string
  maxConnections?: number
  /** Longer than any statement may take. */
  silenceLimitMs?: number
}

const STATEMENT_TIMEOUT_MS = 30_000
const LOCK_TIMEOUT_MS = 10_000
/** A program that is frozen in a transaction holds its locks: shorter than a worker's lease, so that it can be taken over. */
export const IDLE_IN_TRANSACTION_TIMEOUT_MS = 15_000
const CONNECT_TIMEOUT_MS = 10_000
const SILENCE_LIMIT_MS = STATEMENT_TIMEOUT_MS + 10_000

const OID_BIGINT = 20

/** Opens the pool and brings the tables up to date. */
export async function openDatabase(options: OpenDatabaseOptions): Promise<DatabaseHandle> {
  await migrateOnce(options)
  const { connection, logger, program = 'errand', maxConnections = 10 } = options
  const { silenceLimitMs = SILENCE_LIMIT_MS } = options
  const pool = new pg.Pool({
    ...clientConfig(connection),
    application_name: program,
    max: maxConnections,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    lock_timeout: LOCK_TIMEOUT_MS,
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_TIMEOUT_MS,
    stream: () => impatientSocket(silenceLimitMs),
  })
  surviveBrokenConnections(pool, logger)
  const db = new Kysely<Database>({ dialect: new PostgresDialect({ pool: translatingPool(pool) }) })
  let closed: Promise<void> | undefined
  const close = () => {
    closed ??= pool.end()
    return closed
  }
  return { db, pool, close }
}

/**
 * A database on another machine can be gone without a word (no power, no cable, another address): TCP alone waits a quarter
 * of an hour for what it has sent to be acknowledged. Gives the connection up, so that the pool makes another.
 */
export function impatientSocket(limitMs: number): Socket {
  const socket = new Socket()
  const message = `it has said nothing for ${limitMs / 1000} s`
  return socket.setTimeout(limitMs, () => {
    socket.destroy(Object.assign(new Error(message), { code: 'ETIMEDOUT' }))
  })
}

/**
 * A connection may break while it is idle, and also between two statements of a transaction: without a listener either
 * would end the program. The pool replaces it; who used it meets the error at the next statement.
 */
function surviveBrokenConnections(pool: pg.Pool, logger?: Logger): void {
  const report = (error: Error) => logger?.warn({ err: error }, 'a database connection broke')
  pool.on('error', report)
  pool.on('connect', (client) => {
    client.on('error', report)
  })
}

/** Settings of a client on that database; bigint is read as number (counts and sequence numbers stay far below 2^53). */
export function clientConfig(connection: DatabaseConnection): pg.ClientConfig {
  const where =
    'databaseUrl' in connection ? { connectionString: connection.databaseUrl } : connection
  return {
    ...where,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    types: { getTypeParser },
  }
}

const getTypeParser = ((oid: number, format?: 'text' | 'binary') =>
  oid === OID_BIGINT
    ? (text: string) => Number(text)
    : pg.types.getTypeParser(oid, format as 'text')) as typeof pg.types.getTypeParser

/** A migration may take longer than any statement should: it has a pool of its own without limits. */
async function migrateOnce({ connection, program }: OpenDatabaseOptions): Promise<void> {
  const pool = new pg.Pool({ ...clientConfig(connection), application_name: program, max: 2 })
  surviveBrokenConnections(pool)
  try {
    await migrate(new Kysely({ dialect: new PostgresDialect({ pool: translatingPool(pool) }) }))
  } finally {
    await pool.end()
  }
}
