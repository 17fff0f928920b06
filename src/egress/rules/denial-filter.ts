// Which denials become facts of a session: the first of each host, port and reason in a while, and not too many at all. An
// agent can ask a thousand times a second; the session's history should say it once. Pure but for the clock handed in.
import type { EgressDecision } from '../proxy/exchange.ts'

export interface DenialFilterOptions {
  /** A repeat within this time is left out. */
  windowMs: number
  /** Most denials per session and window. */
  mostPerWindow: number
  now: () => number
}

interface Window {
  startedMs: number
  seen: Set<string>
}

/** True when the decision is a denial that is worth recording. */
export function createDenialFilter(
  options: DenialFilterOptions,
): (decision: EgressDecision) => boolean {
  const { windowMs, mostPerWindow, now } = options
  const windows = new Map<string, Window>()
  return ({ sessionId, allowed, host, port, reason }) => {
    if (allowed) return false
    const nowMs = now()
    let window = windows.get(sessionId)
    if (!window || nowMs - window.startedMs >= windowMs) {
      for (const [id, { startedMs }] of windows) {
        if (nowMs - startedMs >= windowMs) windows.delete(id)
      }
      window = { startedMs: nowMs, seen: new Set() }
      windows.set(sessionId, window)
    }
    const key = `${host}:${port} ${reason}`
    if (window.seen.has(key) || window.seen.size >= mostPerWindow) return false
    window.seen.add(key)
    return true
  }
}
