// Gathers what the gateway sees of each session's traffic and stores it in batches: what is alike within a moment is one entry
// with a count, so that an agent that asks a thousand times a second fills neither memory nor database. Nothing here blocks
// the traffic: what cannot be stored is lost with a warning.
import type { EgressDecision } from '../egress/proxy/exchange.ts'
import { dayOf } from '../egress/rules/traffic.ts'
import type { Logger } from '../lib/logger.ts'
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
  const flush = async () => {
    const batches = [...held]
    held.clear()
    for (const [sessionId, batch] of batches) await write(sessionId, batch)
  }
  /** One batch at a time: while the database is slow, what comes is held with what is alike. */
  const flushSoon = () => {
    timer ??= setTimeout(() => {
      writing = flush().finally(() => {
        timer = undefined
        if (held.size > 0) flushSoon()
      })
    }, batchMs)
  }
  const write = async (sessionId: string, { entries, bytesUp, bytesDown }: Held) => {
    const moved = { day: dayOf(now()), bytesUp, bytesDown }
    await store
      .add(sessionId, { entries: [...entries.values()], moved })
      .catch((error: unknown) => {
        logger.warn({ err: error, sessionId }, 'a part of the network log was not stored')
      })
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
    hold(session.entries, toEntry(decision, isOpen))
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

/** Refusals that are alike within one batch are counted; each connection that was let through stands for itself. */
function hold(entries: Map<string, Entry>, entry: Entry): void {
  const alike = `${entry.host}:${entry.port} ${entry.method} ${entry.reason}`
  const key = entry.allowed ? entry.id : alike
  const earlier = entries.get(key)
  if (earlier && !entry.allowed) earlier.count += 1
  else if (earlier || entries.size < MOST_ENTRIES) entries.set(key, entry)
  else {
    const others = `others ${entry.allowed}`
    const first = { ...entry, ...OTHERS, id: `${entry.id} others`, count: 0, durationMs: 0 }
    const { count, ...rest } = entries.get(others) ?? first
    entries.set(others, { ...rest, count: count + 1 })
  }
}

function toEntry(decision: EgressDecision, isOpen: boolean): Entry {
  const { id, host, port, method, allowed, reason, bytesUp, bytesDown, durationMs } = decision
  return {
    ...{ id, host, port, method, allowed, reason, bytesUp, bytesDown, count: 1 },
    at: new Date(decision.startedMs).toISOString(),
    durationMs: isOpen ? null : durationMs,
  }
}
