// Two ways not to do the same thing at once: share a running piece of work, or wait in line for it.

/** Callers with the same key share one run. It is aborted when every caller has gone. */
export function createSingleFlight<T>() {
  const flights = new Map<string, { waiting: number; abort: AbortController; result: Promise<T> }>()
  return async (
    key: string,
    signal: AbortSignal,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> => {
    signal.throwIfAborted()
    let flight = flights.get(key)
    if (!flight) {
      const abort = new AbortController()
      const mine = { waiting: 0, abort, result: work(abort.signal) }
      const forget = () => {
        if (flights.get(key) === mine) flights.delete(key)
      }
      // Every caller may have gone by the time it fails.
      mine.result.then(forget, forget)
      flights.set(key, mine)
      flight = mine
    }
    return await share(flight, signal, () => flights.delete(key))
  }
}

async function share<T>(
  flight: { waiting: number; abort: AbortController; result: Promise<T> },
  signal: AbortSignal,
  forget: () => void,
): Promise<T> {
  flight.waiting += 1
  const leave = Promise.withResolvers<never>()
  const onAbort = () => leave.reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([flight.result, leave.promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
    flight.waiting -= 1
    if (flight.waiting === 0 && signal.aborted && !flight.abort.signal.aborted) {
      forget()
      flight.abort.abort(signal.reason)
    }
  }
}

export type KeyedLock = <T>(key: string, work: () => Promise<T>) => Promise<T>

/** Work under one key runs one after the other, in the order of the calls. */
export function createKeyedLock(): KeyedLock {
  const tails = new Map<string, Promise<unknown>>()
  return async (key, work) => {
    const before = tails.get(key) ?? Promise.resolve()
    const mine = before.then(work, work)
    const settled = mine.catch(() => undefined)
    tails.set(key, settled)
    try {
      return await mine
    } finally {
      if (tails.get(key) === settled) tails.delete(key)
    }
  }
}
