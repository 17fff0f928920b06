// A connection to a program's unix socket that waits while that program is away (being upgraded, restarted), so that who asks
// sees a slow connection instead of an error. Used by the runner towards the gateway and by the gateway towards gitd.
import { connect, type Socket } from 'node:net'
import { backoffMs } from './backoff.ts'
import { delay } from './deadline.ts'

const RETRY = { firstMs: 50, mostMs: 2_000 }

export interface PatientTarget {
  socketPath: string
  /** How long to keep trying before giving up. */
  patienceMs: number
}

/** Resolves with a connected socket that allows half-closing; rejects with the last error or the signal's reason. */
export async function connectPatiently(
  target: PatientTarget,
  signal: AbortSignal,
): Promise<Socket> {
  const givenUpAt = performance.now() + target.patienceMs
  for (let attempt = 0; ; attempt++) {
    try {
      return await connectOnce(target.socketPath, signal)
    } catch (error) {
      if (signal.aborted || performance.now() >= givenUpAt) throw error
      await delay(backoffMs(RETRY, attempt, Math.random()), signal)
    }
  }
}

function connectOnce(path: string, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted()
    const socket = connect({ path, allowHalfOpen: true })
    const onAbort = () => socket.destroy(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    const settle = () => signal.removeEventListener('abort', onAbort)
    socket.once('connect', () => {
      settle()
      socket.off('error', reject)
      resolve(socket)
    })
    socket.once('error', reject)
    socket.once('error', settle)
  })
}
