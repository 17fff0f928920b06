// The gateway's end of each runner's channel: stores what the runner reports and tells it what is wanted now.
import type { RunnerEvents } from './door/runner-channel.ts'
import type { LiveDelta } from './gateway-control.ts'
import type { SessionWatch } from './gateway-sessions.ts'
import { toAppError } from './protocol/errors.ts'
import { type Directives, RUNNER_PROTOCOL } from './protocol/runner-frames.ts'
import type { SessionState } from './protocol/session.ts'
import { directivesFor } from './sessions/directives.ts'
import type { Dispatch } from './sessions/dispatch.ts'

export interface RunnerLink {
  events(sessionId: string): RunnerEvents
  /** Sends the directives of this state when they differ from those sent last. */
  direct(state: SessionState): void
}

export interface RunnerLinkDeps {
  dispatch: Dispatch
  watch: () => SessionWatch
  send(sessionId: string, directives: Directives): boolean
  broadcast(delta: LiveDelta): void
}

export function createRunnerLink({ dispatch, watch, send, broadcast }: RunnerLinkDeps): RunnerLink {
  const sent = new Map<string, string>()
  const direct = (state: SessionState) => {
    const directives = directivesFor(state)
    const text = JSON.stringify(directives)
    if (sent.get(state.id) === text) return
    if (send(state.id, directives)) sent.set(state.id, text)
  }
  return {
    direct,
    events: (sessionId) => ({
      onHello: async ({ protocol }) => {
        if (protocol !== RUNNER_PROTOCOL)
          return { refused: `protocol ${protocol} is not ${RUNNER_PROTOCOL}` }
        const { ackedN, state } = await dispatch.runnerState(sessionId)
        return { generation: state.sandbox.generation, ackedN }
      },
      onConnected: () => {
        sent.delete(sessionId)
        const session = watch().get(sessionId)
        if (session) direct(session.state)
      },
      onReport: async ({ n, report }) => {
        try {
          await dispatch.reports(sessionId, [{ n, report }])
          return undefined
        } catch (error) {
          const { code, reason } = toAppError(error)
          if (code === 'not_found' || code === 'invalid') return { refused: reason }
          throw error
        }
      },
      onDelta: ({ turnId, text }) => {
        if (watch().get(sessionId)?.state.turn?.id === turnId)
          broadcast({ sessionId, turnId, text })
      },
      onDisconnected: () => {
        sent.delete(sessionId)
      },
    }),
  }
}
