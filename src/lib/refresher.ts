// Reads again what was said to have changed. One read of a key at a time, so that none is overtaken by an older one; what is
// asked for meanwhile makes one more; and what fails comes again by itself, since nobody asks a second time.
import { type Backoff, backoffMs } from './backoff.ts'
import { delay } from './deadline.ts'

export interface Refresher {
  /** Says that this may have changed. */
  refresh(key: string): void
  /** Nothing is read any more; a read that is under way is not waited for. */
  close(): void
}

export interface RefresherOptions {
  /** Resolves also when the key is of no interest any more. */
  read(key: string): Promise<void>
  /** Called with each failure; the read is tried again. */
  onError(error: unknown, key: string): void
  retry?: Backoff
}

const RETRY: Backoff = { firstMs: 100, mostMs: 2_000 }

export function createRefresher({ read, onError, retry = RETRY }: RefresherOptions): Refresher {
  const reading = new Map<string, { isStale: boolean }>()
  const closing = new AbortController()
  const readAll = async (key: string, state: { isStale: boolean }) => {
    for (let attempt = 0; state.isStale && !closing.signal.aborted; ) {
      state.isStale = false
      try {
        await read(key)
        attempt = 0
      } catch (error) {
        if (closing.signal.aborted) return
        onError(error, key)
        state.isStale = true
        const waitMs = backoffMs(retry, attempt++, Math.random())
        await delay(waitMs, closing.signal).catch(() => undefined)
      }
    }
    reading.delete(key)
  }
  return {
    refresh: (key) => {
      const state = reading.get(key)
      if (state) {
        state.isStale = true
        return
      }
      const fresh = { isStale: true }
      reading.set(key, fresh)
      void readAll(key, fresh)
    },
    close: () => closing.abort(new Error('nothing is read again any more')),
  }
}
