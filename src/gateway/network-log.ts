// Gathers what the gateway sees of each session's traffic and stores it in batches: what is alike within a moment is one entry
// with a count, so that an agent that asks a thousand times a second fills neither memory nor database. Nothing here blocks
// the traffic: what cannot be stored while the database is away waits for it, as much as fits in one batch, and all bytes.
import type { EgressDecision } from '../egress/proxy/exchange.ts'
import { dayOf } from '../egress/rules/traffic.ts'
import { backoffMs } from '../lib/backoff.ts'
import type { Logger } from '../lib/logger.ts'
import { type ErrorCode, toAppError } from '../protocol/errors.ts'
import type { NetworkEntry } from '../protocol/network-log.ts'
import type { NetworkLogStore } from '../store/network-log.ts'

export interface NetworkLog {
  /** A connection that is open, again with each step of its bytes. */
  opened(decision: EgressDecision): void
  /** One that is over, or was refused. */
  decided(decision: EgressDecision): void
  /** Reads what the session has moved today, before it moves more. */
  load(sessionId: string): Promise<void>
  /** Bytes that were stored for this day before the gateway knew the session. */
  usedBefore(sessionId: string, day: string): number
  forget(sessionId: string): void
  /** Stores what is left. */
  close(): Promise<void>
}

export interface NetworkLogDeps {
  store: NetworkLogStore
  logger: Logger
  batchMs?: number
  now?: () => number
}

type Entry = Omit<NetworkEntry, 'n'>

interface Held {
  entries: Map<string, Entry>
  bytesUp: number
  bytesDown: number
}

const BATCH_MS = 250
const RETRY = { firstMs: BATCH_MS, mostMs: 5_000 }
const PASSING: ReadonlySet<ErrorCode> = new Set(['unavailable', 'timeout', 'no_space'])
/** Of one session in one batch; what is beyond is one entry, which says how many it stands for. */
const MOST_ENTRIES = 200
const OTHERS = { host: 'other hosts', port: 0, method: '', reason: 'too_many' }

export function createNetworkLog(deps: NetworkLogDeps): NetworkLog {
  const { store, logger, batchMs = BATCH_MS, now = Date.now } = deps
  const held = new Map<string, Held>()
  /** Bytes of open connections that were counted already. */
  const counted = new Map<string, { up: number; down: number }>()
  const before = new Map<string, { day: string; bytes: number }>()
  let timer: NodeJS.Timeout | undefined
  let writing: Promise<void> | undefined
  let failures = 0
  const flush = async () => {
    const batches = [...held]
    held.clear()
    let isStored = true
    for (const [sessionId, batch] of batches) {
      const error = await write(deps, sessionId, batch)
      if (!error) continue
      const isPassing = PASSING.has(toAppError(error).code)
      if (isPassing) held.set(sessionId, joined(batch, held.get(sessionId)))
      // Said once, and not again with each attempt.
      if (!isPassing || failures === 0)
        logger.warn({ err: error, sessionId }, 'a part of the network log is not stored')
      isStored &&= !isPassing
    }
    failures = isStored ? 0 : failures + 1
  }
  /** One batch at a time: while the database is slow, what comes is held with what is alike. */
  const flushSoon = () => {
    const waitMs = failures === 0 ? batchMs : backoffMs(RETRY, failures, Math.random())
    timer ??= setTimeout(() => {
      writing = flush().finally(() => {
        timer = undefined
        if (held.size > 0) flushSoon()
      })
    }, waitMs)
  }
  const take = (decision: EgressDecision, isOpen: boolean) => {
    const session = held.get(decision.sessionId) ?? {
      ...{ entries: new Map(), bytesUp: 0, bytesDown: 0 },
    }
    held.set(decision.sessionId, session)
    const { id, bytesUp, bytesDown } = decision
    const known = counted.get(id) ?? { up: 0, down: 0 }
    session.bytesUp += bytesUp - known.up
    session.bytesDown += bytesDown - known.down
    if (isOpen) counted.set(id, { up: bytesUp, down: bytesDown })
    else counted.delete(id)
    const entry = toEntry(decision, isOpen)
    hold(session.entries, keyOf(entry), entry)
    flushSoon()
  }
  return {
    opened: (decision) => take(decision, true),
    decided: (decision) => take(decision, false),
    load: async (sessionId) => {
      const { day, bytesUp, bytesDown } = await store.usage(sessionId, dayOf(now()))
      before.set(sessionId, { day, bytes: bytesUp + bytesDown })
    },
    usedBefore: (sessionId, day) => {
      const used = before.get(sessionId)
      return used?.day === day ? used.bytes : 0
    },
    forget: (sessionId) => {
      before.delete(sessionId)
    },
    close: async () => {
      clearTimeout(timer)
      await writing
      await flush()
    },
  }
}

/** Resolves with what kept it from being stored. */
async function write(
  { store, now = Date.now }: NetworkLogDeps,
  sessionId: string,
  { entries, bytesUp, bytesDown }: Held,
): Promise<unknown> {
  const moved = { day: dayOf(now()), bytesUp, bytesDown }
  try {
    await store.add(sessionId, { entries: [...entries.values()], moved })
    return undefined
  } catch (error) {
    return error
  }
}

/** Refusals that are alike within one batch are counted; each connection that was let through stands for itself. */
function keyOf({ id, host, port, method, allowed, reason }: Entry): string {
  return allowed ? id : `${host}:${port} ${method} ${reason}`
}

function hold(entries: Map<string, Entry>, key: string, entry: Entry): void {
  const earlier = entries.get(key)
  if (earlier && key !== entry.id) earlier.count += entry.count
  else if (earlier || entries.size < MOST_ENTRIES) entries.set(key, entry)
  else {
    const others = `others ${entry.allowed}`
    const first = { ...entry, ...OTHERS, id: `${entry.id} others`, count: 0, durationMs: 0 }
    const { count, ...rest } = entries.get(others) ?? first
    entries.set(others, { ...rest, count: count + entry.count })
  }
}

/** A batch with what came after it. */
function joined(batch: Held, later: Held | undefined): Held {
  if (!later) return batch
  for (const [key, entry] of later.entries) hold(batch.entries, key, entry)
  const [bytesUp, bytesDown] = [batch.bytesUp + later.bytesUp, batch.bytesDown + later.bytesDown]
  return { entries: batch.entries, bytesUp, bytesDown }
}

function toEntry(decision: EgressDecision, isOpen: boolean): Entry {
  const { id, host, port, method, allowed, reason, bytesUp, bytesDown, durationMs } = decision
  return {
    ...{ id, host, port, method, allowed, reason, bytesUp, bytesDown, count: 1 },
    at: new Date(decision.startedMs).toISOString(),
    durationMs: isOpen ? null : durationMs,
  }
}
