// Lets only so many sandboxes start at one time. A start is processor time, most of it the agent's: twenty that share two processors
// are all ready at the end, and one after the other the first is ready as if it were alone, and the last no later.
import type { SessionState } from '../protocol/session.ts'

export interface StartGateDeps {
  /** Calls the listener with the session that changed; returns a function that unsubscribes. */
  onSession(listener: (sessionId: string) => void): () => void
  getSession(id: string): Promise<Pick<SessionState, 'sandbox'> | undefined>
}

export interface StartGateOptions {
  atOnce: number
  /** A place is free again after this long, whatever has become of its sandbox: a checkout may take minutes. */
  holdMs: number
}

/** The last of as many as may work waits for the others three times this long at most, within the limit of its phase. */
const HOLD_MS = 3_000
const AFTER_EACH_OTHER = 4

/** On a machine with so many processors, where so many sessions may work at one time. */
export function startPlaces({
  processors,
  concurrency,
}: {
  processors: number
  concurrency: number
}): StartGateOptions {
  return {
    atOnce: Math.max(processors, Math.ceil(concurrency / AFTER_EACH_OTHER)),
    holdMs: HOLD_MS,
  }
}

export interface StartGate {
  /** Whoever enters now has to wait. */
  isFull(): boolean
  /** Resolves, in the order of the calls, when this sandbox may start. Its place is free again once the sandbox is ready or has ended. */
  enter(sessionId: string, signal: AbortSignal): Promise<void>
  /** It could not be started: the next one may. */
  leave(sessionId: string): void
  close(): void
}

export function createStartGate(
  { onSession, getSession }: StartGateDeps,
  { atOnce, holdMs }: StartGateOptions,
): StartGate {
  const starting = new Map<string, NodeJS.Timeout>()
  const waiting = new Map<string, () => void>()

  const letIn = () => {
    for (const [sessionId, enter] of waiting) {
      if (starting.size >= atOnce) return
      waiting.delete(sessionId)
      starting.set(
        sessionId,
        setTimeout(() => leave(sessionId), holdMs),
      )
      enter()
    }
  }
  const leave = (sessionId: string) => {
    clearTimeout(starting.get(sessionId))
    if (starting.delete(sessionId)) letIn()
  }
  /** Where the database does not answer the place is free by time. */
  const look = async (sessionId: string) => {
    const state = await getSession(sessionId).catch(() => 'unknown' as const)
    if (state !== 'unknown' && state?.sandbox.state !== 'preparing') leave(sessionId)
  }
  const unsubscribe = onSession((sessionId) => {
    // Nobody is kept waiting: nothing is read.
    if (waiting.size > 0 && starting.has(sessionId)) void look(sessionId)
  })
  return {
    isFull: () => starting.size >= atOnce,
    enter: async (sessionId, signal) => {
      signal.throwIfAborted()
      leave(sessionId)
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      const onAbort = () => {
        waiting.delete(sessionId)
        reject(signal.reason)
      }
      signal.addEventListener('abort', onAbort, { once: true })
      waiting.set(sessionId, resolve)
      letIn()
      // Those that were let in while nobody waited may have been ready for long.
      if (waiting.has(sessionId)) for (const id of starting.keys()) void look(id)
      await promise.finally(() => signal.removeEventListener('abort', onAbort))
    },
    leave,
    close: () => {
      unsubscribe()
      for (const timer of starting.values()) clearTimeout(timer)
    },
  }
}
