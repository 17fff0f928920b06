// Reading and removing sessions as their log left them (`sessions` is a projection that event-log.ts writes).
// A session whose state this version cannot read is listed as such, never a reason for a list to fail.
import { type Kysely, sql } from 'kysely'
import type { Logger } from '../lib/logger.ts'
import { AppError } from '../protocol/errors.ts'
import {
  type FoundSession,
  isUnreadable,
  STATE_UNREADABLE,
  unreadableSession,
} from '../protocol/found-session.ts'
import { sessionIdSchema } from '../protocol/ids.ts'
import { type SessionState, sessionStateSchema } from '../protocol/session.ts'
import { endEffects, enqueueEffects, type NewEffect, notifyEffects } from './effects.ts'
import { type Load, readLoad } from './load.ts'
import { LOAD_CHANNEL, SESSION_CHANNEL, sessionPayload } from './postgres/channels.ts'
import type { Database } from './schema.ts'

export interface SessionList {
  sessions: FoundSession[]
  /** Give it as `before` for the next page; null at the end. */
  next: string | null
}

export interface SessionListing {
  ownerId?: string
  includeArchived?: boolean
  limit: number
  before?: string
}

export interface SessionDirectory {
  get(id: string): Promise<SessionState | undefined>
  find(id: string): Promise<FoundSession | undefined>
  /** Also of one whose state cannot be read. */
  has(id: string): Promise<boolean>
  /** The one that was made with this turn. */
  findByFirstTurn(ownerId: string, turnId: string): Promise<SessionState | undefined>
  /** Latest change first. */
  list(listing: SessionListing): Promise<SessionList>
  /** Of one owner, by the start of an id, with or without its `s_`; at most ten. */
  findByPrefix(ownerId: string, prefix: string): Promise<FoundSession[]>
  /** Without those whose state cannot be read. */
  listBySandboxState(states: readonly SessionState['sandbox']['state'][]): Promise<SessionState[]>
  /** Ids of sessions whose `deadlineAt` has come, the longest due first. */
  listOverdue(now: Date, limit: number): Promise<string[]>
  nextDeadline(): Promise<Date | undefined>
  /** Which sessions work and which wait for a slot, at this moment. */
  readLoad(): Promise<Load>
  /**
   * Forgets the session and its events, lets go of its effects, and leaves one that takes away what is outside of the
   * database. False: there was none.
   */
  remove(id: string, last: NewEffect): Promise<boolean>
}

const PREFIX_MATCHES = 10
const PREFIX = /^(?:s_)?[a-z2-7]{1,20}$/

export function createSessionDirectory(
  db: Kysely<Database>,
  logger: Logger,
  clock: () => Date,
): SessionDirectory {
  const found = (row: FoundRow): FoundSession => {
    const parsed = sessionStateSchema.safeParse(row.state)
    if (parsed.success) return parsed.data
    logger.error({ sessionId: row.id }, 'a session state is not readable')
    return toUnreadable(row)
  }
  return {
    get: async (id) => {
      const row = await db
        .selectFrom('sessions')
        .select(['id', 'state'])
        .where('id', '=', id)
        .executeTakeFirst()
      return row && parseState(row)
    },
    find: async (id) => {
      const rows = db.selectFrom('sessions').select(FOUND_COLUMNS).where('id', '=', id)
      const row = await rows.executeTakeFirst()
      return row && found(row)
    },
    has: async (id) => {
      const row = db.selectFrom('sessions').select('id').where('id', '=', id)
      return (await row.executeTakeFirst()) !== undefined
    },
    findByFirstTurn: async (ownerId, turnId) => {
      const rows = db.selectFrom('sessions').select(['id', 'state'])
      const begun = rows.where('owner_id', '=', ownerId).where('first_turn_id', '=', turnId)
      const row = await begun.executeTakeFirst()
      return row && parseState(row)
    },
    list: async (listing) => {
      const rows = await selectPage(db, listing)
      const page = rows.slice(0, listing.limit)
      const last = rows.length > listing.limit ? page.at(-1) : undefined
      return { sessions: page.map(found), next: last ? formatCursor(last) : null }
    },
    findByPrefix: async (ownerId, prefix) => {
      if (!PREFIX.test(prefix)) return []
      const start = prefix.startsWith('s_') ? prefix : `s_${prefix}`
      const rows = db.selectFrom('sessions').select(FOUND_COLUMNS).where('owner_id', '=', ownerId)
      // '~' sorts behind every character of an id.
      const begun = rows.where('id', '>=', start).where('id', '<', `${start}~`)
      return (await begun.orderBy('id').limit(PREFIX_MATCHES).execute()).map(found)
    },
    listBySandboxState: async (states) => {
      if (states.length === 0) return []
      const rows = db.selectFrom('sessions').select(FOUND_COLUMNS)
      const inState = rows.where('sandbox_state', 'in', [...states]).orderBy('id')
      return (await inState.execute())
        .map(found)
        .filter((one): one is SessionState => !isUnreadable(one))
    },
    listOverdue: async (now, limit) => {
      const rows = db.selectFrom('sessions').select('id').where('deadline_at', '<=', now)
      const due = await rows.orderBy('deadline_at').limit(limit).execute()
      return due.map((row) => row.id)
    },
    nextDeadline: async () => {
      const row = await db
        .selectFrom('sessions')
        .select((eb) => eb.fn.min('deadline_at').as('at'))
        .executeTakeFirst()
      return row?.at ?? undefined
    },
    readLoad: () => readLoad(db),
    remove: (id, last) => removeSession(db, id, { last, now: clock() }),
  }
}

interface FoundRow {
  id: string
  owner_id: string
  sandbox_state: string
  state: unknown
  last_seq: number
  created_at: Date
  updated_at: Date
  archived_at: Date | null
}

const FOUND_COLUMNS = [
  ...(['id', 'owner_id', 'sandbox_state', 'state', 'last_seq'] as const),
  ...(['created_at', 'updated_at', 'archived_at'] as const),
] as const

function toUnreadable(row: FoundRow): FoundSession {
  const { id, owner_id: ownerId, sandbox_state: sandboxState, last_seq: lastSeq } = row
  const [createdAt, updatedAt] = [row.created_at.toISOString(), row.updated_at.toISOString()]
  const isArchived = row.archived_at !== null
  const known = { id, ownerId, isArchived, sandboxState, createdAt, updatedAt, lastSeq }
  return unreadableSession(known, row.state)
}

/** Fails with `state_unreadable` where a list would show it as such. */
export function parseState(row: { id: string; state: unknown }): SessionState {
  const parsed = sessionStateSchema.safeParse(row.state)
  if (parsed.success) return parsed.data
  const message = `the stored state of session ${row.id} is not readable by this version`
  throw new AppError('internal', STATE_UNREADABLE, message, { cause: parsed.error })
}

function selectPage(db: Kysely<Database>, listing: SessionListing) {
  const { ownerId, includeArchived = false, limit, before } = listing
  let query = db.selectFrom('sessions').select(FOUND_COLUMNS)
  if (ownerId !== undefined) query = query.where('owner_id', '=', ownerId)
  if (!includeArchived) query = query.where('archived_at', 'is', null)
  if (before !== undefined) {
    const { updatedAt, id } = parseCursor(before)
    query = query.where(sql<boolean>`(updated_at, id) < (${updatedAt}::timestamptz, ${id})`)
  }
  return query
    .orderBy('updated_at', 'desc')
    .orderBy('id', 'desc')
    .limit(limit + 1)
    .execute()
}

function formatCursor({ id, updated_at }: { id: string; updated_at: Date }): string {
  return `${updated_at.getTime()}.${id}`
}

function parseCursor(cursor: string): { updatedAt: Date; id: string } {
  const [time = '', id = ''] = cursor.split('.')
  if (!/^\d{1,14}$/.test(time) || !sessionIdSchema.safeParse(id).success) {
    throw new AppError('invalid', 'cursor_invalid', 'not a position that a list has returned')
  }
  return { updatedAt: new Date(Number(time)), id }
}

function removeSession(
  db: Kysely<Database>,
  id: string,
  { last, now }: { last: NewEffect; now: Date },
): Promise<boolean> {
  return db.transaction().execute(async (tx) => {
    const result = await tx.deleteFrom('sessions').where('id', '=', id).executeTakeFirst()
    if (result.numDeletedRows === 0n) return false
    await endEffects(tx, id, now)
    await enqueueEffects(tx, id, { effects: [last], now })
    await notifyEffects(tx)
    await sql`select pg_notify(${SESSION_CHANNEL}, ${sessionPayload(id, 0)})`.execute(tx)
    await sql`select pg_notify(${LOAD_CHANNEL}, '')`.execute(tx)
    return true
  })
}
