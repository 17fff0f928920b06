// What is done outside for each kind of effect. Every one is idempotent: a worker that died may have done part of it.
// The result is a command, committed together with the completion of the effect.
import { z } from 'zod'
import type { Command, ReportCommand } from '../protocol/command.ts'
import type { AppError } from '../protocol/errors.ts'
import type { RunnerSetup } from '../protocol/runner-frames.ts'
import type { PhaseName, Repository, SessionState } from '../protocol/session.ts'
import type { EffectRequest } from './draft.ts'

/** Git on the host, as the effects need it. Credentials are found by who implements this. */
export interface RepositoryPort {
  prepare(
    request: { sessionId: string; ownerId: string; repository: Repository },
    signal: AbortSignal,
  ): Promise<{ commit: string; baseBranch: string | null }>
  measure(
    sessionId: string,
    signal: AbortSignal,
  ): Promise<{ commit: string; filesChanged: number; insertions: number; deletions: number }>
  /** Pushes outward what was kept; resolves with the commit once it is outside. */
  forward(state: SessionState, signal: AbortSignal): Promise<{ commit: string }>
  remove(sessionId: string): Promise<void>
}

export interface SandboxPort {
  /** Creates the sandbox when there is none or its disk is lost, starts it, and says in one line how it is isolated. */
  start(
    state: SessionState,
    setup: RunnerSetup,
    signal: AbortSignal,
    /** Is told, in a sentence, when the sandbox had to be made anew without its disk. */
    onReplaced: (why: string) => Promise<unknown>,
  ): Promise<string>
  stop(state: SessionState, graceMs: number): Promise<void>
  remove(sessionId: string): Promise<void>
  list(): Promise<{ sessionId: string; running: boolean; message: string }[]>
}

/** The gateway's listeners, one per session. */
export interface DoorsPort {
  open(sessionId: string): Promise<void>
  close(sessionId: string): Promise<void>
}

export interface EffectPorts {
  repositories: RepositoryPort
  sandboxes: SandboxPort
  doors: DoorsPort
  /** What the runner is told of a session. */
  setupFor(state: SessionState): RunnerSetup
  report(sessionId: string, command: ReportCommand): Promise<SessionState>
}

const generation = z.int()
const effectSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('repository.prepare'), generation }),
  z.object({ kind: z.literal('sandbox.start'), generation }),
  z.object({
    kind: z.literal('sandbox.stop'),
    generation,
    why: z.enum(['user', 'idle', 'archived', 'failed']),
  }),
  z.object({ kind: z.literal('changes.measure') }),
  z.object({ kind: z.literal('push.forward') }),
])

export function parseEffect(kind: string, payload: unknown): EffectRequest {
  return effectSchema.parse({ ...(payload as object), kind })
}

/** The runner gets this long to end its agent in order; then everything in the sandbox is killed. */
const STOP_GRACE_MS = 4_000

/** Does the work and returns the command that reports it; undefined when there is nothing to report. */
export async function runEffect(
  ports: EffectPorts,
  effect: EffectRequest,
  state: SessionState,
  signal: AbortSignal,
): Promise<Command | undefined> {
  const { id: sessionId, ownerId, repository } = state
  switch (effect.kind) {
    case 'repository.prepare': {
      await startPhase(ports, state, 'fetch')
      const prepared = await ports.repositories.prepare({ sessionId, ownerId, repository }, signal)
      return { type: 'repository.prepared', generation: effect.generation, ...prepared }
    }
    case 'sandbox.start': {
      const current = await startPhase(ports, state, 'sandbox')
      await ports.doors.open(sessionId)
      const { generation } = effect
      const onReplaced = (why: string) =>
        ports.report(sessionId, { type: 'phase.log', phase: 'sandbox', generation, lines: [why] })
      const setup = ports.setupFor(current)
      const isolation = await ports.sandboxes.start(current, setup, signal, onReplaced)
      return { type: 'sandbox.started', generation, isolation }
    }
    case 'sandbox.stop':
      await ports.sandboxes.stop(state, STOP_GRACE_MS)
      await ports.doors.close(sessionId)
      return { type: 'sandbox.stopped', generation: effect.generation, why: effect.why }
    case 'changes.measure':
      return { type: 'changes.measured', ...(await ports.repositories.measure(sessionId, signal)) }
    case 'push.forward':
      return { type: 'push.forwarded', ...(await ports.repositories.forward(state, signal)) }
  }
}

/** The command that reports a final failure; undefined when only the queue needs to know. */
export function failureOf(effect: EffectRequest, error: AppError): Command | undefined {
  const { reason, message } = error
  switch (effect.kind) {
    case 'repository.prepare':
      return { type: 'phase.fail', phase: 'fetch', generation: effect.generation, reason, message }
    case 'sandbox.start':
      return {
        type: 'phase.fail',
        phase: 'sandbox',
        generation: effect.generation,
        reason,
        message,
      }
    case 'sandbox.stop':
    case 'changes.measure':
    case 'push.forward':
      return undefined
  }
}

function startPhase(
  ports: EffectPorts,
  state: SessionState,
  phase: PhaseName,
): Promise<SessionState> {
  const { generation } = state.sandbox
  return ports.report(state.id, { type: 'phase.start', phase, generation })
}
