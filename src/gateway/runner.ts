// The gateway's end of each runner's channel: stores what the runner reports and tells it what is wanted now.
import { assignmentOf } from '../assignment.ts'
import type { RunnerEvents } from '../door/runner-channel.ts'
import type { Welcome } from '../door/runner-connection.ts'
import type { Logger } from '../lib/logger.ts'
import { createRedactor } from '../lib/redact.ts'
import { createRefresher } from '../lib/refresher.ts'
import { toAppError } from '../protocol/errors.ts'
import { type Assignment, type Directives, RUNNER_PROTOCOL } from '../protocol/runner-frames.ts'
import type { SessionState } from '../protocol/session.ts'
import type { Dispatch } from '../sessions/dispatch.ts'
import { directivesFor } from '../sessions/rules/directives.ts'
import type { LiveDelta } from './control.ts'
import { createReportRedaction, type ReportRedaction } from './redaction.ts'
import { createRunnerSilence } from './runner-silence.ts'
import type { SessionWatch } from './sessions.ts'

/** Of a session that is not known; nothing of it is stored either. */
const NO_REDACTOR = createRedactor([])

export interface RunnerLink {
  events(sessionId: string): RunnerEvents
  /** Sends the directives of this state when they differ from those sent last; nothing of one that is older than what is known. */
  direct(state: SessionState): void
  forget(sessionId: string): void
  /** Once `closing` has aborted and no sandbox is being given up any more. */
  ended: Promise<void>
}

export interface RunnerLinkDeps {
  dispatch: Dispatch
  watch: () => SessionWatch
  send(sessionId: string, directives: Directives): boolean
  broadcast(delta: LiveDelta): void
  publicUrl: string | null
  /** A sandbox that waits for its session can be taken. */
  onParked(sessionId: string): Promise<void>
  /** Until it aborts the sandboxes of runners that are silent in a turn are given up. */
  closing: AbortSignal
  /** Between two looks for them. */
  lookMs?: number
  logger: Logger
}

export function createRunnerLink(deps: RunnerLinkDeps): RunnerLink {
  const { dispatch, watch, send, broadcast } = deps
  const sent = new Map<string, string>()
  const newest = createNewest()
  // It says so once: one that nobody has noted would wait for ever.
  const parked = createRefresher({
    read: deps.onParked,
    onError: (err) => deps.logger.warn({ err }, 'a sandbox that waits could not be noted yet'),
  })
  const silence = createRunnerSilence({ states: newest.all, dispatch, logger: deps.logger })
  const assignments = createAssignments(deps)
  const redactions = createRedactions(watch)
  const direct = (state: SessionState) => {
    assignments.look(state.id)
    if (!newest.take(state)) return
    const directives = directivesFor(state)
    const text = JSON.stringify(directives)
    if (sent.get(state.id) === text) return
    if (send(state.id, directives)) sent.set(state.id, text)
  }
  return {
    direct,
    forget: (sessionId) => {
      redactions.forget(sessionId)
      newest.forget(sessionId)
      silence.forget(sessionId)
    },
    ended: silence.watch(deps.closing, deps.lookMs),
    events: (sessionId) => ({
      onHello: async ({ protocol }, { wait, signal }): Promise<Welcome | { refused: string }> => {
        silence.heard(sessionId)
        if (protocol !== RUNNER_PROTOCOL) {
          await replaceRunner(dispatch, sessionId, protocol)
          return { refused: 'protocol_not_supported' }
        }
        const assignment = await assignments.wait(sessionId, wait, signal)
        const { ackedN, state } = await dispatch.runnerState(sessionId)
        newest.take(state)
        return { generation: state.sandbox.generation, ackedN, assignment }
      },
      onParked: () => parked.refresh(sessionId),
      onConnected: () => {
        silence.connected(sessionId)
        sent.delete(sessionId)
        const state = newest.get(sessionId)
        if (state) direct(state)
      },
      onReport: async ({ n, report }) => {
        try {
          const reports = redactions.of(sessionId).report(report)
          await dispatch.reports(
            sessionId,
            reports.map((one) => ({ n, report: one })),
          )
          return undefined
        } catch (error) {
          const { code, reason } = toAppError(error)
          if (code === 'not_found' || code === 'invalid') return { refused: reason }
          throw error
        }
      },
      onDelta: ({ turnId, text }) => {
        if (watch().get(sessionId)?.state.turn?.id !== turnId) return
        const plain = redactions.of(sessionId).delta({ turnId, text })
        if (plain !== '') broadcast({ sessionId, turnId, text: plain })
      },
      onDisconnected: () => {
        silence.disconnected(sessionId)
        sent.delete(sessionId)
      },
    }),
  }
}

/** One for each session, with what its owner's credentials hide now. */
function createRedactions(watch: RunnerLinkDeps['watch']) {
  const redactions = new Map<string, ReportRedaction>()
  return {
    of: (sessionId: string): ReportRedaction => {
      const found =
        redactions.get(sessionId) ??
        createReportRedaction(() => watch().get(sessionId)?.credentials.redactor ?? NO_REDACTOR)
      redactions.set(sessionId, found)
      return found
    },
    forget: (sessionId: string) => redactions.delete(sessionId),
  }
}

/** What a runner was greeted by may be newer than what the watch has read: by an older one it would do a turn twice. */
function createNewest() {
  const states = new Map<string, SessionState>()
  return {
    get: (sessionId: string) => states.get(sessionId),
    all: () => states.values(),
    /** False for one that is older. */
    take: (state: SessionState): boolean => {
      if ((states.get(state.id)?.lastSeq ?? 0) > state.lastSeq) return false
      states.set(state.id, state)
      return true
    },
    forget: (sessionId: string) => states.delete(sessionId),
  }
}

/** Runners that connected before it was known what they are to work on. */
function createAssignments({ watch, publicUrl }: Pick<RunnerLinkDeps, 'watch' | 'publicUrl'>) {
  const waiting = new Map<string, { take: (assignment: Assignment) => void; tell: () => void }>()
  const find = (sessionId: string) => {
    const session = watch().get(sessionId)
    return session && assignmentOf(session.state, publicUrl, session.credentials.variables)
  }
  return {
    look: (sessionId: string) => {
      const one = waiting.get(sessionId)
      const assignment = one && find(sessionId)
      if (assignment) one.take(assignment)
      else one?.tell()
    },
    wait: async (sessionId: string, onWait: (needsAgent: boolean) => void, signal: AbortSignal) => {
      // One that hung up meanwhile would keep the next one waiting.
      signal.throwIfAborted()
      const known = find(sessionId)
      if (known) return known
      const { promise, resolve, reject } = Promise.withResolvers<Assignment>()
      const onAbort = () => reject(signal.reason)
      signal.addEventListener('abort', onAbort, { once: true })
      let told: boolean | undefined
      const tell = () => {
        const needsAgent = watch().get(sessionId)?.state.turn?.kind === 'agent'
        if (needsAgent !== told) onWait(needsAgent)
        told = needsAgent
      }
      const one = { take: resolve, tell }
      waiting.set(sessionId, one)
      tell()
      try {
        return await promise
      } finally {
        signal.removeEventListener('abort', onAbort)
        if (waiting.get(sessionId) === one) waiting.delete(sessionId)
      }
    },
  }
}

/** A runner of another version would be refused for ever: its sandbox is given up, and a turn gets one of this version. */
async function replaceRunner(dispatch: Dispatch, id: string, protocol: number): Promise<void> {
  const { sandbox } = (await dispatch.runnerState(id)).state
  if (sandbox.state !== 'preparing' && sandbox.state !== 'ready') return
  const message = `The runner in the sandbox is of another version (protocol ${protocol}, Errand speaks ${RUNNER_PROTOCOL}).`
  await dispatch.command(id, {
    type: 'sandbox.lost',
    generation: sandbox.generation,
    reason: 'protocol_not_supported',
    message,
  })
}
