// How much a session may move: new connections a second, and bytes a day (UTC), both directions together. In memory; what was
// used before a restart is handed in. Pure but for the clocks.
// What this does not protect against: bytes are counted in steps, so that a fast connection may go some way beyond.
import { createTokenBucket, type TakeToken } from '../../lib/token-bucket.ts'

export interface TrafficLimits {
  connectionsPerSecond: number
  bytesPerDay: number
}

export interface TrafficRefusal {
  reason: 'rate_limited' | 'bytes_exhausted'
  retryAfterS: number
}

export interface Traffic {
  /** Takes one connection; null when it may be opened. */
  admit(sessionId: string): TrafficRefusal | null
  /** Counts bytes that were moved; false when the session has none left. */
  use(sessionId: string, bytes: number): boolean
  forget(sessionId: string): void
}

export interface TrafficDeps {
  /** Undefined: no limits. Asked each time, so that a changed one holds at once. */
  limitsFor: (sessionId: string) => TrafficLimits | undefined
  /** What the session has used of the day that `now` is in, when it is first seen. */
  usedBefore?: ((sessionId: string, day: string) => number) | undefined
  /** Milliseconds since 1970. */
  now: () => number
  /** Milliseconds that never go back. */
  ticks: () => number
}

/** So many seconds' worth may come at once: package managers open many connections and then few. */
const BURST_SECONDS = 4
const DAY_MS = 86_400_000

interface Account {
  perSecond: number
  take: TakeToken
  day: string
  bytes: number
}

export function createTraffic({ limitsFor, usedBefore, now, ticks }: TrafficDeps): Traffic {
  const accounts = new Map<string, Account>()
  const accountOf = (sessionId: string, perSecond: number): Account => {
    const day = dayOf(now())
    const known = accounts.get(sessionId)
    const account = known ?? {
      ...{ perSecond: 0, take: () => 0, day, bytes: usedBefore?.(sessionId, day) ?? 0 },
    }
    if (account.perSecond !== perSecond) {
      account.perSecond = perSecond
      account.take = createTokenBucket({ perSecond, burst: perSecond * BURST_SECONDS }, ticks)
    }
    if (account.day !== day) Object.assign(account, { day, bytes: 0 })
    accounts.set(sessionId, account)
    return account
  }
  return {
    admit: (sessionId) => {
      const limits = limitsFor(sessionId)
      if (!limits) return null
      const account = accountOf(sessionId, limits.connectionsPerSecond)
      if (account.bytes >= limits.bytesPerDay)
        return { reason: 'bytes_exhausted', retryAfterS: secondsToMidnight(now()) }
      const waitMs = account.take()
      return waitMs === 0
        ? null
        : { reason: 'rate_limited', retryAfterS: Math.ceil(waitMs / 1_000) }
    },
    use: (sessionId, bytes) => {
      const limits = limitsFor(sessionId)
      if (!limits) return true
      const account = accountOf(sessionId, limits.connectionsPerSecond)
      account.bytes += bytes
      return account.bytes < limits.bytesPerDay
    },
    forget: (sessionId) => {
      accounts.delete(sessionId)
    },
  }
}

/** As ISO 8601 writes it, UTC. */
export function dayOf(nowMs: number): string {
  return new Date(nowMs).toISOString().slice(0, 10)
}

function secondsToMidnight(nowMs: number): number {
  return Math.ceil((DAY_MS - (nowMs % DAY_MS)) / 1_000)
}
