// Gives free slots to the sessions that wait for one, in their order. Woken by every change of the load, and by time in case
// whoever freed a slot died before saying so. Several may run: the store lets no more begin than there is room for.
import type { Logger } from '../lib/logger.ts'
import type { SessionDirectory } from '../store/sessions.ts'
import type { Dispatch } from './dispatch.ts'
import { orderQueue } from './rules/slots.ts'

export interface AdmissionDeps {
  directory: Pick<SessionDirectory, 'readLoad'>
  dispatch: Pick<Dispatch, 'command'>
  logger: Logger
}

export interface AdmissionOptions {
  concurrency: number
  /** How often to look without being woken. */
  pollMs: number
}

export interface Admission {
  /** A slot may be free. */
  wake(): void
  /** Resolves when nothing is being admitted any more. */
  close(): Promise<void>
}

export function createAdmission(deps: AdmissionDeps, options: AdmissionOptions): Admission {
  let looking: Promise<void> | undefined
  let lookAgain = false
  let isClosed = false
  const look = async () => {
    try {
      do {
        lookAgain = false
        await admitAll(deps, options.concurrency)
      } while (lookAgain && !isClosed)
    } catch (error) {
      deps.logger.error({ err: error }, 'looking for free slots failed')
    } finally {
      looking = undefined
    }
  }
  const wake = () => {
    lookAgain = true
    if (!isClosed) looking ??= look()
  }
  const timer = setInterval(wake, options.pollMs)
  wake()
  return {
    wake,
    close: async () => {
      isClosed = true
      clearInterval(timer)
      await looking
    },
  }
}

async function admitAll({ directory, dispatch, logger }: AdmissionDeps, concurrency: number) {
  const load = await directory.readLoad()
  let free = concurrency - load.working.length
  for (const sessionId of orderQueue(load)) {
    if (free <= 0) return
    try {
      const { status } = await dispatch.command(sessionId, { type: 'session.admit' })
      if (status === 'working') free -= 1
    } catch (error) {
      // Removed meanwhile, or not readable by this version: it holds up nobody else.
      logger.warn({ err: error, sessionId }, 'a session could not be given its slot')
    }
  }
}
