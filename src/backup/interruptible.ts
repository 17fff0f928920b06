// Lets Ctrl-C, and what else ends a program, end a backup or a restore in order: what was made by then is taken away first.
import { InterruptedError } from '../cli/deps.ts'

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** `work` looks at its signal between steps, and rejects. A second Ctrl-C ends the program at once. */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const ended = new AbortController()
  const end = () => ended.abort(new InterruptedError())
  for (const signal of SIGNALS) process.once(signal, end)
  try {
    return await work(ended.signal)
  } catch (error) {
    ended.signal.throwIfAborted()
    throw error
  } finally {
    for (const signal of SIGNALS) process.off(signal, end)
  }
}

/** The same chunks or rows, until the signal aborts. */
export async function* whileWanted<T>(
  items: AsyncIterable<T>,
  signal: AbortSignal | undefined,
): AsyncGenerator<T> {
  for await (const item of items) {
    signal?.throwIfAborted()
    yield item
  }
}
