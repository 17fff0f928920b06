// The network log of sessions: the newest entries of each, numbered, and how much it has moved on each day. The gateway alone
// writes it, one batch of a session after the other.
import { type Kysely, sql } from 'kysely'
import type { NetworkEntry, NetworkPage, NetworkUsage } from '../protocol/network-log.ts'
import { NETWORK_CHANNEL } from './postgres/channels.ts'
import { FOREIGN_KEY_VIOLATION, sqlState } from './postgres/database-errors.ts'
import type { Database } from './schema.ts'

export interface NetworkBatch {
  /** An entry that is known already is replaced. */
  entries: Omit<NetworkEntry, 'n'>[]
  /** What was moved since the last batch. */
  moved: NetworkUsage
}

export interface NetworkLogStore {
  /** False when there is no such session any more. */
  add(sessionId: string, batch: NetworkBatch): Promise<boolean>
  read(sessionId: string, range: { after: number; limit: number }): Promise<NetworkPage>
  usage(sessionId: string, day: string): Promise<NetworkUsage>
  /** Of all sessions, what was open when the gateway ended: it is not any more. */
  endOpen(reason: string): Promise<void>
}

/** Of each session; older ones go. */
const KEPT = 2_000

export function createNetworkLogStore(db: Kysely<Database>): NetworkLogStore {
  return {
    add: async (sessionId, batch) => {
      try {
        await db.transaction().execute((tx) => addBatch(tx, sessionId, batch))
        return true
      } catch (error) {
        if (sqlState(error) === FOREIGN_KEY_VIOLATION) return false
        throw error
      }
    },
    read: async (sessionId, { after, limit }) => {
      const rows = await db
        .selectFrom('network_log')
        .selectAll()
        .where('session_id', '=', sessionId)
        .where('n', '>', String(after))
        .orderBy('n')
        .limit(limit + 1)
        .execute()
      const entries = rows.slice(0, limit).map(toEntry)
      return { entries, through: entries.at(-1)?.n ?? after, more: rows.length > limit }
    },
    usage: async (sessionId, day) => {
      const row = await db
        .selectFrom('network_usage')
        .selectAll()
        .where('session_id', '=', sessionId)
        .where('day', '=', day)
        .executeTakeFirst()
      return { day, bytesUp: Number(row?.bytes_up ?? 0), bytesDown: Number(row?.bytes_down ?? 0) }
    },
    endOpen: async (reason) => {
      await db
        .updateTable('network_log')
        .set({ duration_ms: 0, reason })
        .where('duration_ms', 'is', null)
        .execute()
    },
  }
}

async function addBatch(
  tx: Kysely<Database>,
  sessionId: string,
  { entries, moved }: NetworkBatch,
): Promise<void> {
  const last = await tx
    .selectFrom('network_log')
    .select((eb) => eb.fn.max('n').as('n'))
    .where('session_id', '=', sessionId)
    .executeTakeFirst()
  const first = Number(last?.n ?? 0) + 1
  if (entries.length > 0) {
    await tx
      .insertInto('network_log')
      .values(entries.map((entry, index) => toRow(sessionId, { ...entry, n: first + index })))
      .onConflict((conflict) =>
        conflict.columns(['session_id', 'id']).doUpdateSet((eb) => ({
          n: eb.ref('excluded.n'),
          reason: eb.ref('excluded.reason'),
          bytes_up: eb.ref('excluded.bytes_up'),
          bytes_down: eb.ref('excluded.bytes_down'),
          duration_ms: eb.ref('excluded.duration_ms'),
        })),
      )
      .execute()
    await prune(tx, sessionId)
  }
  const { day, bytesUp, bytesDown } = moved
  await tx
    .insertInto('network_usage')
    .values({
      ...{ session_id: sessionId, day, bytes_up: String(bytesUp), bytes_down: String(bytesDown) },
    })
    .onConflict((conflict) =>
      conflict.columns(['session_id', 'day']).doUpdateSet({
        bytes_up: sql`network_usage.bytes_up + excluded.bytes_up`,
        bytes_down: sql`network_usage.bytes_down + excluded.bytes_down`,
      }),
    )
    .execute()
  await sql`select pg_notify(${NETWORK_CHANNEL}, ${sessionId})`.execute(tx)
}

/** What is open stays, however old it is. */
async function prune(tx: Kysely<Database>, sessionId: string): Promise<void> {
  const oldest = tx
    .selectFrom('network_log')
    .select('n')
    .where('session_id', '=', sessionId)
    .orderBy('n', 'desc')
    .offset(KEPT)
    .limit(1)
  await tx
    .deleteFrom('network_log')
    .where('session_id', '=', sessionId)
    .where('duration_ms', 'is not', null)
    .where('n', '<=', oldest)
    .execute()
}

function toRow(sessionId: string, entry: NetworkEntry) {
  const { id, n, at, host, port, method, allowed, reason, bytesUp, bytesDown } = entry
  const { durationMs, count } = entry
  return {
    ...{ session_id: sessionId, id, n: String(n), at: new Date(at), host, port, method, allowed },
    ...{ reason, bytes_up: String(bytesUp), bytes_down: String(bytesDown), count },
    duration_ms: durationMs === null ? null : String(Math.round(durationMs)),
  }
}

function toEntry(row: {
  id: string
  n: string
  at: Date
  host: string
  port: number
  method: string
  allowed: boolean
  reason: string | null
  bytes_up: string
  bytes_down: string
  duration_ms: string | null
  count: number
}): NetworkEntry {
  const { id, host, port, method, allowed, reason, count } = row
  return {
    ...{ id, host, port, method, allowed, reason, count },
    n: Number(row.n),
    at: row.at.toISOString(),
    bytesUp: Number(row.bytes_up),
    bytesDown: Number(row.bytes_down),
    durationMs: row.duration_ms === null ? null : Number(row.duration_ms),
  }
}
