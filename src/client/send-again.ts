// What counts once however often it is sent is sent again while nobody knows whether it arrived: the server may be starting anew.
import { type Backoff, backoffMs } from '../lib/backoff.ts'
import { delay } from '../lib/deadline.ts'
import { AppError } from '../protocol/errors.ts'

export interface Patience {
  /** After this long a refusal stands. */
  ms: number
  pauses: Backoff
}

const PATIENCE: Patience = { ms: 20_000, pauses: { firstMs: 200, mostMs: 2_000 } }

/** `send` must name what it sends, as `turnId` does. Fails with the last refusal, or with the reason of `signal`. */
export async function sendUntilAnswered<T>(
  send: () => Promise<T>,
  { ms, pauses }: Patience = PATIENCE,
  signal?: AbortSignal,
): Promise<T> {
  const until = Date.now() + ms
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await send()
    } catch (error) {
      if (!(error instanceof AppError && error.code === 'unavailable')) throw error
      const pauseMs = backoffMs(pauses, attempt, Math.random())
      if (Date.now() + pauseMs > until) throw error
      await delay(pauseMs, signal)
    }
  }
}
