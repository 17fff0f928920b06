// The queue of outside work and the only truth about it. A worker holds an effect by a lease (`deadlineAt`) and a
// generation: every claim counts the generation up, so what an earlier holder still reports is refused.
// A session has at most one effect under a lease in each lane; lanes do not wait for each other. Cancelling one that runs
// asks its holder to let go; the lease stays until the holder reports or the deadline passes, so that nothing of the same
// lane starts beside it. An effect may outlive its session: what is left of that is taken away by one.
import { randomBytes } from 'node:crypto'
import { type Kysely, type Selectable, sql, type Transaction } from 'kysely'
import { createId } from '../protocol/ids.ts'
import { EFFECTS_CHANNEL } from './postgres/channels.ts'
import { sqlState, UNIQUE_VIOLATION } from './postgres/database-errors.ts'
import type { Database, EffectsTable } from './schema.ts'

export type EffectState = 'queued' | 'running' | 'cancelling' | 'done' | 'failed' | 'cancelled'

export interface NewEffect {
  kind: string
  /** Effects of one session and lane run one after the other, in the order of their creation. */
  lane: string
  payload: unknown
  /** Not before this time; at once unless told. */
  runAfter?: Date
}

export interface Effect {
  id: string
  sessionId: string
  kind: string
  lane: string
  payload: unknown
  state: EffectState
  generation: number
  /** Counts claims from 1; 0 while it was never claimed. */
  attempt: number
  owner: string | null
  deadlineAt: Date | null
  runAfter: Date
  /** What the last failed attempt left. */
  error: unknown
  createdAt: Date
}

export interface EffectClaim {
  workerId: string
  leaseMs: number
  /** Kinds that are left to others. */
  except?: readonly string[]
  now?: Date
}

export type Renewal = 'renewed' | 'cancelled' | 'lost'

export interface NextTry {
  runAfter: Date
  error: unknown
  /** The work was not tried, as where it waits for somebody else's: this claim does not count among its attempts. */
  isPutOff?: boolean
}

export interface EffectQueue {
  /** The oldest effect that is due, or whose holder let its deadline pass. */
  claim(claim: EffectClaim): Promise<Effect | undefined>
  /** `cancelled`: stop the work and report (any report frees the session). `lost`: somebody else has it, or it ended. */
  renew(id: string, generation: number, leaseMs: number): Promise<Renewal>
  /** The workers that hold something. */
  holders(): Promise<string[]>
  /** That worker has ended: nobody has to wait for what it held. Returns how many effects that is. */
  endLeases(workerId: string): Promise<number>
  /** False for a late holder and for one that was cancelled: what it did does not count. */
  complete(id: string, generation: number): Promise<boolean>
  retry(id: string, generation: number, next: NextTry): Promise<boolean>
  fail(id: string, generation: number, error: unknown): Promise<boolean>
  /** Completes the last effect of a session that is gone: nothing is left of its effects. */
  forget(id: string, generation: number): Promise<boolean>
  list(sessionId: string): Promise<Effect[]>
  /** How many of a kind have not ended; of one session or of all. */
  countOpen(kind: string, sessionId?: string): Promise<number>
  /** Forgets effects that ended before that time. Returns how many. */
  prune(before: Date): Promise<number>
}

const CLAIM_TRIES = 5
const HELD = ['running', 'cancelling']

export function createEffectQueue(db: Kysely<Database>, clock: () => Date): EffectQueue {
  const settle = (id: string, generation: number, to: Settled) =>
    db.transaction().execute(async (tx) => {
      const settled = await settleEffect(tx, { id, generation, to, now: clock() })
      if (settled !== undefined) await notifyEffects(tx)
      return settled === to.state
    })
  return {
    claim: ({ now = clock(), ...claim }) => claimEffect(db, { ...claim, now }),
    renew: (id, generation, leaseMs) => renewEffect(db, { id, generation, leaseMs, now: clock() }),
    holders: async () => {
      const rows = db.selectFrom('effects').select('owner').distinct().where('state', 'in', HELD)
      return (await rows.execute()).flatMap(({ owner }) => owner ?? [])
    },
    endLeases: (workerId) => endLeases(db, workerId, clock()),
    complete: (id, generation) => settle(id, generation, { state: 'done' }),
    retry: (id, generation, next) => settle(id, generation, { state: 'queued', ...next }),
    fail: (id, generation, error) => settle(id, generation, { state: 'failed', error }),
    forget: (id, generation) => forgetEffects(db, id, generation),
    list: async (sessionId) => {
      const rows = db.selectFrom('effects').selectAll().where('session_id', '=', sessionId)
      return (await rows.orderBy('position').execute()).map(toEffect)
    },
    countOpen: (kind, sessionId) => countOpen(db, kind, sessionId),
    prune: async (before) => {
      const ended = db.deleteFrom('effects').where('state', 'in', ['done', 'failed', 'cancelled'])
      return Number(
        (await ended.where('updated_at', '<', before).executeTakeFirst()).numDeletedRows,
      )
    },
  }
}

type Handle = Kysely<Database> | Transaction<Database>

export async function enqueueEffects(
  tx: Transaction<Database>,
  sessionId: string,
  { effects, now }: { effects: NewEffect[]; now: Date },
): Promise<void> {
  if (effects.length === 0) return
  const rows = effects.map(({ kind, lane, payload, runAfter }) => ({
    id: createId('effect', randomBytes(20)),
    session_id: sessionId,
    kind,
    lane,
    payload: JSON.stringify(payload ?? null),
    state: 'queued',
    run_after: runAfter ?? now,
    created_at: now,
    updated_at: now,
  }))
  await tx.insertInto('effects').values(rows).execute()
}

/** Returns how many were touched. Queued ones are cancelled at once, a running one is asked to let go. */
export async function cancelEffects(
  tx: Transaction<Database>,
  sessionId: string,
  { lanes, now }: { lanes: readonly string[]; now: Date },
): Promise<number> {
  if (lanes.length === 0) return 0
  const update = tx
    .updateTable('effects')
    .set({
      state: sql<string>`case state when 'queued' then 'cancelled' else 'cancelling' end`,
      updated_at: now,
    })
    .where('session_id', '=', sessionId)
    .where('state', 'in', ['queued', 'running'])
    .where('lane', 'in', [...lanes])
  return Number((await update.executeTakeFirst()).numUpdatedRows)
}

/** Of a session that goes away: holders are asked to let go, everything else is forgotten. */
export async function endEffects(
  tx: Transaction<Database>,
  sessionId: string,
  now: Date,
): Promise<void> {
  await tx
    .deleteFrom('effects')
    .where('session_id', '=', sessionId)
    .where('state', 'not in', ['running', 'cancelling'])
    .execute()
  await tx
    .updateTable('effects')
    .set({ state: 'cancelling', updated_at: now })
    .where('session_id', '=', sessionId)
    .execute()
}

export interface Settled {
  state: 'done' | 'failed' | 'queued'
  runAfter?: Date
  error?: unknown
  isPutOff?: boolean
}

/** The state that the effect is in now; undefined when this holder has lost it. A cancelled one ends as `cancelled`. */
export async function settleEffect(
  tx: Transaction<Database>,
  { id, generation, to, now }: { id: string; generation: number; to: Settled; now: Date },
): Promise<string | undefined> {
  const row = await tx
    .updateTable('effects')
    .set({
      state: sql<string>`case state when 'running' then ${to.state} else 'cancelled' end`,
      owner: null,
      deadline_at: null,
      error: to.error === undefined ? null : storable(to.error),
      updated_at: now,
      ...(to.runAfter ? { run_after: to.runAfter } : {}),
      ...(to.isPutOff ? { attempt: sql<number>`attempt - 1` } : {}),
    })
    .where('id', '=', id)
    .where('generation', '=', generation)
    .where('state', 'in', HELD)
    .returning('state')
    .executeTakeFirst()
  return row?.state
}

/** PostgreSQL reads nothing out of JSON with a NUL in it, or half a character, such as where the words of a git host were cut. */
function storable(error: unknown): string {
  return JSON.stringify(error, (_key, value: unknown) =>
    typeof value === 'string' ? value.toWellFormed().replaceAll('\0', '\ufffd') : value,
  )
}

/** Wakes the workers once the transaction commits. */
export async function notifyEffects(tx: Handle): Promise<void> {
  await sql`select pg_notify(${EFFECTS_CHANNEL}, '')`.execute(tx)
}

/** Those that were put off for this reason are due now. */
export async function wakeEffects(tx: Handle, reason: string, now: Date): Promise<void> {
  await tx
    .updateTable('effects')
    .set({ run_after: now })
    .where('state', '=', 'queued')
    .where(sql`error ->> 'reason'`, '=', reason)
    .execute()
  await notifyEffects(tx)
}

async function claimEffect(
  db: Kysely<Database>,
  claim: EffectClaim & { now: Date },
): Promise<Effect | undefined> {
  await db
    .updateTable('effects')
    .set({ state: 'cancelled', owner: null, deadline_at: null, updated_at: claim.now })
    .where('state', '=', 'cancelling')
    .where('deadline_at', '<', claim.now)
    .execute()
  for (let left = CLAIM_TRIES; left > 0; left--) {
    try {
      return await tryClaim(db, claim)
    } catch (error) {
      // Another worker took a different effect of the same session at the same moment; the next try sees it.
      if (sqlState(error) !== UNIQUE_VIOLATION) throw error
    }
  }
  return undefined
}

async function tryClaim(
  db: Kysely<Database>,
  { workerId, except = [], now, leaseMs }: EffectClaim & { now: Date },
): Promise<Effect | undefined> {
  const { rows } = await sql<Selectable<EffectsTable>>`
    update effects set state = 'running', generation = generation + 1, attempt = attempt + 1,
      owner = ${workerId}, deadline_at = ${new Date(now.getTime() + leaseMs)}, updated_at = ${now}
    where id = (
      select e.id from effects e
      where e.kind <> all(${[...except]}::text[]) and (
        (e.state = 'running' and e.deadline_at < ${now})
        or (e.state = 'queued' and e.run_after <= ${now} and not exists (
          select 1 from effects held
          where held.session_id = e.session_id and held.lane = e.lane
            and held.state in ('running', 'cancelling')))
      )
      order by e.position limit 1
      for update skip locked
    )
    returning *`.execute(db)
  return rows[0] && toEffect(rows[0])
}

async function renewEffect(
  db: Kysely<Database>,
  lease: { id: string; generation: number; leaseMs: number; now: Date },
): Promise<Renewal> {
  const { id, generation, leaseMs, now } = lease
  const extended = new Date(now.getTime() + leaseMs)
  const row = await db
    .updateTable('effects')
    .set({
      deadline_at: sql<Date>`case state when 'running' then ${extended}::timestamptz else deadline_at end`,
      updated_at: now,
    })
    .where('id', '=', id)
    .where('generation', '=', generation)
    .where('state', 'in', HELD)
    .returning('state')
    .executeTakeFirst()
  if (!row) return 'lost'
  return row.state === 'running' ? 'renewed' : 'cancelled'
}

/** What is overdue is taken over in its turn, as if the time had passed. */
async function endLeases(db: Kysely<Database>, workerId: string, now: Date): Promise<number> {
  const update = db
    .updateTable('effects')
    .set({ deadline_at: new Date(now.getTime() - 1), updated_at: now })
    .where('state', 'in', HELD)
    .where('owner', '=', workerId)
  return Number((await update.executeTakeFirst()).numUpdatedRows)
}

async function forgetEffects(
  db: Kysely<Database>,
  id: string,
  generation: number,
): Promise<boolean> {
  const { rows } = await sql`
    delete from effects where session_id = (
      select session_id from effects
      where id = ${id} and generation = ${generation} and state = 'running')
    returning id`.execute(db)
  return rows.length > 0
}

async function countOpen(
  db: Kysely<Database>,
  kind: string,
  sessionId: string | undefined,
): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(*)::int as count from effects
    where kind = ${kind} and state in ('queued', 'running', 'cancelling')
      and session_id = coalesce(${sessionId ?? null}::text, session_id)`.execute(db)
  return rows[0]?.count ?? 0
}

function toEffect(row: Selectable<EffectsTable>): Effect {
  return {
    id: row.id,
    sessionId: row.session_id,
    kind: row.kind,
    lane: row.lane,
    payload: row.payload,
    state: row.state as EffectState,
    generation: row.generation,
    attempt: row.attempt,
    owner: row.owner,
    deadlineAt: row.deadline_at,
    runAfter: row.run_after,
    error: row.error,
    createdAt: row.created_at,
  }
}
