// The log of a session: the only place where events are written, in one transaction with the state and the effects that
// follow from them. Events are numbered without a gap and never changed.
import { type Kysely, sql, type Transaction } from 'kysely'
import { AppError, type ErrorCode } from '../protocol/errors.ts'
import {
  type EventBody,
  type EventSource,
  parseEvent,
  type SessionEvent,
} from '../protocol/event.ts'
import type { SessionState } from '../protocol/session.ts'
import {
  cancelEffects,
  enqueueEffects,
  type NewEffect,
  notifyEffects,
  settleEffect,
} from './effects.ts'
import { type Load, lockLoad } from './load.ts'
import { LOAD_CHANNEL, SESSION_CHANNEL, sessionPayload } from './postgres/channels.ts'
import { sqlState, UNIQUE_VIOLATION } from './postgres/database-errors.ts'
import type { Database } from './schema.ts'
import { parseState } from './sessions.ts'

/** What a change is decided on. The session row is locked meanwhile. */
export interface ChangeContext {
  /** Undefined: there is no such session yet. */
  state: SessionState | undefined
  lastSeq: number
  /** Number of the last journaled report of the runner that was taken in. */
  ackedN: number
  /** The time that the events of this change get; taken after the lock. */
  now: Date
  /** What works and waits beside it, with the lock on it; only for a decision that asked for it. */
  load?: Load
}

export interface NewEvent {
  source: EventSource
  body: EventBody
}

export interface Change {
  /** Get the numbers from lastSeq + 1 on. None: only what follows is written. */
  events: NewEvent[]
  /** The state after these events; its `lastSeq` must agree. */
  state: SessionState
  effects?: NewEffect[]
  /** The lanes whose effects are not wanted any more. */
  cancelLanes?: readonly string[]
  ackedN?: number
  /** When the clock has to look at this session again; unchanged when undefined. */
  deadlineAt?: Date | null
  /** It holds only where there is room for it: decide again with the load. Without effect once the load was given. */
  needsLoad?: boolean
}

export interface Refusal {
  code: ErrorCode
  reason: string
  message: string
}

export interface ChangeOptions {
  /** The effect whose result this is: it is completed in the same transaction, or `effect_superseded`. */
  completes?: { effectId: string; generation: number }
  /** Names what was seen, for as long as it may be told again: a second change with it is refused with `already_counted`. */
  reportId?: string
}

export type Changed = { events: SessionEvent[]; state: SessionState } | { refusal: Refusal }

export interface EventPage {
  events: SessionEvent[]
  /** Read on after this one; unknown types are skipped, so it may be later than the last event. */
  through: number
  more: boolean
}

export interface EventLog {
  /** `decide` runs inside the transaction, perhaps several times: it must be pure. A refusal writes nothing. */
  change(
    sessionId: string,
    decide: (context: ChangeContext) => Change | { refusal: Refusal },
    options?: ChangeOptions,
  ): Promise<Changed>
  read(sessionId: string, range: { afterSeq: number; limit: number }): Promise<EventPage>
}

/** Rows of one insert statement; PostgreSQL takes 65,535 parameters. */
const INSERT_ROWS = 1_000

export function createEventLog(db: Kysely<Database>, clock: () => Date): EventLog {
  return {
    change: async (sessionId, decide, options = {}) => {
      const attempt = () => changeOnce(db, { sessionId, decide, options, clock })
      try {
        return await attempt()
      } catch (error) {
        if (error instanceof RefusedError) return { refusal: error.refusal }
        // Two first changes of one session: the second one runs again and finds it.
        if (sqlState(error) !== UNIQUE_VIOLATION) throw error
      }
      return attempt().catch(toRefusal)
    },
    read: (sessionId, range) => readEvents(db, sessionId, range),
  }
}

interface ChangeRequest {
  sessionId: string
  decide: (context: ChangeContext) => Change | { refusal: Refusal }
  options: ChangeOptions
  clock: () => Date
}

/** Carries a refusal out of a transaction, which thereby rolls back. */
class RefusedError extends Error {
  readonly refusal: Refusal
  constructor(refusal: Refusal) {
    super(refusal.reason)
    this.refusal = refusal
  }
}

function toRefusal(error: unknown): { refusal: Refusal } {
  if (error instanceof RefusedError) return { refusal: error.refusal }
  if (sqlState(error) !== UNIQUE_VIOLATION) throw error
  const message = 'a session that begins with this turn exists'
  return { refusal: { code: 'conflict', reason: 'session_exists', message } }
}

function changeOnce(db: Kysely<Database>, request: ChangeRequest): Promise<Changed> {
  const { sessionId, decide, options, clock } = request
  return db.transaction().execute(async (tx) => {
    const held = await lockSession(tx, sessionId)
    let context: ChangeContext = { ...held, now: clock() }
    await completeEffect(tx, options, context.now)
    let decision = decide(context)
    if ('needsLoad' in decision && decision.needsLoad) {
      const load = await lockLoad(tx)
      // Later than whatever freed the slot that it takes.
      context = { ...context, now: clock(), load }
      decision = decide(context)
    }
    if ('refusal' in decision) throw new RefusedError(decision.refusal)
    const events = numberEvents(sessionId, decision.events, context)
    await writeSession(tx, { sessionId, change: decision, context })
    await insertEvents(tx, events)
    await takeOnce(tx, { sessionId, options, now: context.now })
    await writeEffects(tx, { sessionId, change: decision, options, now: context.now })
    if (events.length > 0 || decision.ackedN !== undefined) {
      const payload = sessionPayload(sessionId, decision.state.lastSeq)
      await sql`select pg_notify(${SESSION_CHANNEL}, ${payload})`.execute(tx)
    }
    if (changesLoad(context.state, decision.state))
      await sql`select pg_notify(${LOAD_CHANNEL}, '')`.execute(tx)
    return { events, state: decision.state }
  })
}

/** A slot was taken or became free, or the queue became longer or shorter. */
function changesLoad(before: SessionState | undefined, { status }: SessionState): boolean {
  if (before?.status === status) return false
  return [before?.status, status].some((one) => one === 'working' || one === 'queued')
}

async function lockSession(tx: Transaction<Database>, sessionId: string) {
  const row = await tx
    .selectFrom('sessions')
    .select(['id', 'state', 'last_seq', 'runner_acked_n'])
    .where('id', '=', sessionId)
    .forUpdate()
    .executeTakeFirst()
  if (!row) return { state: undefined, lastSeq: 0, ackedN: 0 }
  return { state: parseState(row), lastSeq: row.last_seq, ackedN: row.runner_acked_n }
}

async function completeEffect(tx: Transaction<Database>, { completes }: ChangeOptions, now: Date) {
  if (!completes) return
  const { effectId: id, generation } = completes
  const state = await settleEffect(tx, { id, generation, to: { state: 'done' }, now })
  if (state === 'done') return
  throw new RefusedError({
    code: 'conflict',
    reason: 'effect_superseded',
    message: 'this work was cancelled or taken over meanwhile; its result does not count',
  })
}

function numberEvents(
  sessionId: string,
  events: NewEvent[],
  { lastSeq, now }: ChangeContext,
): SessionEvent[] {
  const at = now.toISOString()
  return events.map(({ source, body }, index) => ({
    sessionId,
    seq: lastSeq + 1 + index,
    at,
    source,
    body,
  }))
}

interface Write {
  sessionId: string
  change: Change
  context: ChangeContext
}

async function writeSession(tx: Transaction<Database>, { sessionId, change, context }: Write) {
  const { state } = change
  const { now } = context
  const lastSeq = context.lastSeq + change.events.length
  if (lastSeq === 0 || state.lastSeq !== lastSeq || state.id !== sessionId) {
    const message = `state ${state.id}:${state.lastSeq} does not follow from ${sessionId}:${lastSeq}`
    throw new AppError('internal', 'state_out_of_step', message)
  }
  const row = {
    owner_id: state.ownerId,
    status: state.status,
    sandbox_state: state.sandbox.state,
    state: JSON.stringify(state),
    last_seq: lastSeq,
    sandbox_generation: state.sandbox.generation,
    archived_at: state.status === 'archived' ? new Date(state.updatedAt) : null,
    queued_at: queuedAt(context.state, state),
    ...(change.events.length > 0 ? { updated_at: now } : {}),
    ...(change.ackedN === undefined ? {} : { runner_acked_n: change.ackedN }),
    ...(change.deadlineAt === undefined ? {} : { deadline_at: change.deadlineAt }),
  }
  if (context.state) await tx.updateTable('sessions').set(row).where('id', '=', sessionId).execute()
  else {
    const firstTurn = state.turn ?? state.queue[0]
    const made = { id: sessionId, created_at: now, updated_at: now }
    const first = { ...row, ...made, first_turn_id: firstTurn?.id ?? null }
    await tx.insertInto('sessions').values(first).execute()
  }
}

/** Finer than the clock of a program, and one clock for all: who came first is first in the queue. */
function queuedAt(before: SessionState | undefined, { status }: SessionState) {
  if (status !== 'queued') return null
  if (before?.status === 'queued') return undefined
  return sql<Date>`clock_timestamp()`
}

async function insertEvents(tx: Transaction<Database>, events: SessionEvent[]): Promise<void> {
  const rows = events.map(({ sessionId, seq, at, source, body }) => ({
    session_id: sessionId,
    seq,
    at: new Date(at),
    source,
    type: body.type,
    body: JSON.stringify(body),
  }))
  for (let start = 0; start < rows.length; start += INSERT_ROWS) {
    const batch = rows.slice(start, start + INSERT_ROWS)
    await tx.insertInto('events').values(batch).execute()
  }
}

async function takeOnce(
  tx: Transaction<Database>,
  { sessionId, options, now }: { sessionId: string; options: ChangeOptions; now: Date },
) {
  if (options.reportId === undefined) return
  const result = await tx
    .insertInto('usage_requests')
    .values({ session_id: sessionId, request_id: options.reportId, created_at: now })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst()
  if (result.numInsertedOrUpdatedRows) return
  throw new RefusedError({
    code: 'conflict',
    reason: 'already_counted',
    message: 'this report has been stored before',
  })
}

async function writeEffects(
  tx: Transaction<Database>,
  written: { sessionId: string; change: Change; options: ChangeOptions; now: Date },
) {
  const { sessionId, change, options, now } = written
  const cancelled = await cancelEffects(tx, sessionId, { lanes: change.cancelLanes ?? [], now })
  const effects = change.effects ?? []
  await enqueueEffects(tx, sessionId, { effects, now })
  if (cancelled > 0 || effects.length > 0 || options.completes) await notifyEffects(tx)
}

async function readEvents(
  db: Kysely<Database>,
  sessionId: string,
  { afterSeq, limit }: { afterSeq: number; limit: number },
): Promise<EventPage> {
  const rows = await db
    .selectFrom('events')
    .select(['seq', 'at', 'source', 'body'])
    .where('session_id', '=', sessionId)
    .where('seq', '>', afterSeq)
    .orderBy('seq')
    .limit(limit + 1)
    .execute()
  const page = rows.slice(0, limit)
  const events = page.flatMap(({ seq, at, source, body }) => {
    const event = parseEvent({ sessionId, seq, at: at.toISOString(), source, body })
    return event ? [event] : []
  })
  return { events, through: page.at(-1)?.seq ?? afterSeq, more: rows.length > limit }
}
