// Notices a runner that lives and does nothing any more, as one that was frozen or hangs: its sandbox runs, a turn is on, and it
// neither keeps its connection nor comes again. Only that is looked at: how long an agent thinks is its own concern.
import { delay } from '../lib/deadline.ts'
import type { Logger } from '../lib/logger.ts'
import type { SessionState } from '../protocol/session.ts'
import type { Dispatch } from '../sessions/dispatch.ts'

const LOOK_MS = 15_000
/**
 * Five minutes, behind the 45 s after which a silent connection is ended: one that merely gets no processor comes by then. Looks
 * are counted and not time, which goes on while this program is frozen itself.
 */
const MOST_LOOKS = 20

export interface RunnerSilence {
  /** It has said something, though it may not have been let in. */
  heard(sessionId: string): void
  connected(sessionId: string): void
  disconnected(sessionId: string): void
  forget(sessionId: string): void
  /** One look after the other, until the signal aborts. */
  watch(signal: AbortSignal, lookMs?: number): Promise<void>
}

export interface RunnerSilenceDeps {
  /** Of all sessions that have a door. */
  states: () => Iterable<SessionState>
  dispatch: Pick<Dispatch, 'command'>
  logger: Logger
}

export function createRunnerSilence({
  states,
  dispatch,
  logger,
}: RunnerSilenceDeps): RunnerSilence {
  const connections = new Set<string>()
  const missed = new Map<string, number>()
  const isMissed = ({ id, turn, sandbox }: SessionState) =>
    turn !== null && sandbox.state === 'ready' && !connections.has(id)
  const giveUp = async ({ id, sandbox }: SessionState) => {
    const { generation } = sandbox
    const message = 'The runner in the sandbox has said nothing for five minutes.'
    try {
      await dispatch.command(id, {
        ...{ type: 'sandbox.lost', generation, reason: 'runner_silent', message },
      })
      missed.delete(id)
    } catch (err) {
      // The next look does it again.
      logger.warn({ err, sessionId: id }, 'a sandbox whose runner is silent could not be given up')
    }
  }
  const look = async () => {
    for (const state of states()) {
      const count = isMissed(state) ? (missed.get(state.id) ?? 0) + 1 : 0
      missed.set(state.id, count)
      if (count >= MOST_LOOKS) await giveUp(state)
    }
  }
  const heard = (sessionId: string) => {
    missed.delete(sessionId)
  }
  return {
    heard,
    connected: (sessionId) => {
      connections.add(sessionId)
    },
    disconnected: (sessionId) => {
      connections.delete(sessionId)
      heard(sessionId)
    },
    forget: (sessionId) => {
      connections.delete(sessionId)
      heard(sessionId)
    },
    watch: async (signal, lookMs = LOOK_MS) => {
      while (!signal.aborted) {
        await delay(lookMs, signal).catch(() => undefined)
        if (!signal.aborted) await look()
      }
    },
  }
}
