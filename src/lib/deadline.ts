// Waiting with an end: every wait in Errand takes an AbortSignal and most have a limit.

export class DeadlineError extends Error {
  readonly limitMs: number
  constructor(what: string, limitMs: number) {
    super(`${what} took longer than ${limitMs} ms`)
    this.name = 'DeadlineError'
    this.limitMs = limitMs
  }
}

/** Runs `work` with a signal that aborts after `limitMs` or with `parent`; rejects with DeadlineError at the limit. */
export async function withDeadline<T>(
  what: string,
  limitMs: number,
  work: (signal: AbortSignal) => Promise<T>,
  parent?: AbortSignal,
): Promise<T> {
  const controller = new AbortController()
  const signal = parent ? AbortSignal.any([parent, controller.signal]) : controller.signal
  const error = new DeadlineError(what, limitMs)
  const timer = setTimeout(() => controller.abort(error), limitMs)
  try {
    return await orAborted(work(signal), signal)
  } finally {
    clearTimeout(timer)
  }
}

/** The result of the work, or the signal's reason when it aborts first; the work itself goes on. */
export function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return Promise.race([work, rejectOnAbort(signal)])
}

/** Resolves after `ms`; rejects with the signal's reason when it aborts first. */
export function delay(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason)
      return
    }
    const onAbort = () => {
      clearTimeout(timer)
      reject(signal?.reason)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    }, ms)
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}

function rejectOnAbort(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason)
    else signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}
