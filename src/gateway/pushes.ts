// Brings the pushes that gitd has seen into the logs of their sessions: those of one session in order, each session for
// itself, so that one whose log cannot be written holds up no other. gitd forgets a push once it and all before it are stored.
import type { Observation } from '../git/serving/observations.ts'
import { backoffMs } from '../lib/backoff.ts'
import { delay } from '../lib/deadline.ts'
import type { Logger } from '../lib/logger.ts'

export interface PushSource {
  /** All that is not acknowledged after `n`, then each new one; ends or rejects when gitd goes away. */
  observations(after: number, signal: AbortSignal): AsyncIterable<Observation>
  /** Forgets everything up to and with `n`. */
  acknowledgeObservations(n: number): Promise<void>
}

export interface FollowPushesDeps {
  git: PushSource
  /** Resolves when the push is stored or never can be; rejects when the signal aborts. */
  store(observation: Observation): Promise<void>
  logger: Logger
}

const FOLLOW_AGAIN = { firstMs: 100, mostMs: 5_000 }

/** Resolves when the signal aborts. */
export async function followPushes(deps: FollowPushesDeps, signal: AbortSignal): Promise<void> {
  const sessions = new Map<string, Promise<void>>()
  const waiting = new Set<number>()
  let seen = 0
  let acknowledged = 0
  const acknowledge = async () => {
    const upTo = waiting.size > 0 ? Math.min(...waiting) - 1 : seen
    if (upTo <= acknowledged) return
    await deps.git.acknowledgeObservations(upTo)
    acknowledged = upTo
  }
  const take = (observation: Observation) => {
    const { n, sessionId } = observation
    seen = n
    waiting.add(n)
    const earlier = sessions.get(sessionId) ?? Promise.resolve()
    const stored = earlier
      .then(() => deps.store(observation))
      .then(async () => {
        waiting.delete(n)
        if (sessions.get(sessionId) === stored) sessions.delete(sessionId)
        await acknowledge()
      })
      .catch((error: unknown) => {
        if (!signal.aborted) deps.logger.warn({ err: error }, 'a push is not acknowledged yet')
      })
    sessions.set(sessionId, stored)
  }
  for (let attempt = 0; !signal.aborted; attempt++) {
    try {
      // What is on its way already is not taken twice.
      for await (const observation of deps.git.observations(seen, signal)) {
        take(observation)
        attempt = 0
      }
    } catch (error) {
      if (!signal.aborted)
        deps.logger.warn({ err: error }, 'pushes cannot be followed at the moment')
    }
    await delay(backoffMs(FOLLOW_AGAIN, attempt, Math.random()), signal).catch(() => undefined)
  }
  await Promise.all(sessions.values())
}
