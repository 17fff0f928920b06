// Which sessions work and which wait for a slot, as the log left them. Where a decision rests on it, the lock makes one
// decision after the other, also of several programs: the next one sees what the one before has committed.
import { type Kysely, sql, type Transaction } from 'kysely'
import type { Database } from './schema.ts'

export interface LoadedSession {
  id: string
  ownerId: string
}

export interface Load {
  working: LoadedSession[]
  /** The longest waiting first. */
  queued: LoadedSession[]
}

/** Any number that no other user of advisory locks in this database takes. */
const LOCK = 7_269_041_185_531

/** Until the transaction ends. Taken after the lock of a session's row, never before it, so that no two wait for each other. */
export async function lockLoad(tx: Transaction<Database>): Promise<Load> {
  await sql`select pg_advisory_xact_lock(${LOCK}::bigint)`.execute(tx)
  return readLoad(tx)
}

export async function readLoad(db: Kysely<Database>): Promise<Load> {
  const rows = await db
    .selectFrom('sessions')
    .select(['id', 'owner_id', 'status'])
    .where('status', 'in', ['working', 'queued'])
    .orderBy('queued_at')
    .orderBy('id')
    .execute()
  const of = (status: string) =>
    rows
      .filter((row) => row.status === status)
      .map(({ id, owner_id: ownerId }) => ({ id, ownerId }))
  return { working: of('working'), queued: of('queued') }
}
