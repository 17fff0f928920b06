// Turns what PostgreSQL and its connection refuse with into AppErrors, once, where Kysely meets the pool.
import type { PostgresPool, PostgresPoolClient } from 'kysely'
import type pg from 'pg'
import { AppError, type ErrorCode } from '../../protocol/errors.ts'

/** SQLSTATE (or Node's error code) to code and reason. What is not listed stays as it is. */
const MEANINGS: Record<string, [ErrorCode, string]> = {
  '53100': ['no_space', 'database_disk_full'],
  '53300': ['unavailable', 'database_busy'],
  '57P01': ['unavailable', 'database_stopping'],
  '57P02': ['unavailable', 'database_stopping'],
  '57P03': ['unavailable', 'database_starting'],
  '57014': ['timeout', 'database_timeout'],
  '55P03': ['timeout', 'database_lock_timeout'],
  '22021': ['invalid', 'text_not_storable'],
  '28000': ['unavailable', 'database_refused'],
  '28P01': ['unavailable', 'database_refused'],
  '3D000': ['unavailable', 'database_missing'],
  ECONNREFUSED: ['unavailable', 'database_unreachable'],
  ECONNRESET: ['unavailable', 'database_unreachable'],
  ENOENT: ['unavailable', 'database_unreachable'],
  EPIPE: ['unavailable', 'database_unreachable'],
  ENOTFOUND: ['unavailable', 'database_unreachable'],
  EAI_AGAIN: ['unavailable', 'database_unreachable'],
  ETIMEDOUT: ['unavailable', 'database_unreachable'],
  EHOSTUNREACH: ['unavailable', 'database_unreachable'],
}
/** What the message says beside what was answered. */
const SENTENCES: Record<string, (said: string) => string> = {
  database_unreachable: (said) => `The database cannot be reached: ${said}`,
  database_refused: (said) => `The database does not let Errand in: ${said}. Correct DATABASE_URL.`,
  database_missing: (said) => `${said}. Make it, or correct DATABASE_URL.`,
}
/** pg reports these without a code. */
const CONNECTION_LOST =
  /Connection terminated|timeout exceeded when trying to connect|not queryable|Client was closed/

export const UNIQUE_VIOLATION = '23505'
export const FOREIGN_KEY_VIOLATION = '23503'

export function sqlState(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' ? code : undefined
}

export function toDatabaseError(error: unknown): unknown {
  if (error instanceof AppError) return error
  const state = sqlState(error)
  const message = error instanceof Error ? error.message : String(error)
  const meaning = state === undefined ? undefined : MEANINGS[state]
  if (meaning) return refusal(meaning, message, error)
  if (CONNECTION_LOST.test(message))
    return refusal(['unavailable', 'database_unreachable'], message, error)
  return error
}

function refusal([code, reason]: [ErrorCode, string], said: string, cause: unknown): AppError {
  return new AppError(code, reason, SENTENCES[reason]?.(said) ?? said, { cause })
}

/** The pool as Kysely uses it, with its errors translated. */
export function translatingPool(pool: pg.Pool): PostgresPool {
  const wrapped = new WeakMap<pg.PoolClient, PostgresPoolClient>()
  return {
    options: pool.options,
    end: () => pool.end(),
    async connect() {
      const client = await pool.connect().catch(rethrow)
      const known = wrapped.get(client)
      if (known) return known
      const query = (text: string, values: unknown[]) => client.query(text, values).catch(rethrow)
      const made = {
        query: query as unknown as PostgresPoolClient['query'],
        release: (destroy?: boolean) => client.release(destroy),
      }
      wrapped.set(client, made)
      return made
    },
  }
}

function rethrow(error: unknown): never {
  throw toDatabaseError(error)
}
