// What is done outside for each kind of effect. Every one is idempotent: a worker that died may have done part of it.
// The result is a command, committed together with the completion of the effect.
import { z } from 'zod'
import { withDeadline } from '../lib/deadline.ts'
import type { Command, ReportCommand } from '../protocol/command.ts'
import type { EnvironmentFileText, Image } from '../protocol/environment.ts'
import type { AppError } from '../protocol/errors.ts'
import type { Access, Repository, SessionState } from '../protocol/session.ts'
import type { CheckoutLayers } from './layers/checkout-layers.ts'
import type { Layers } from './layers/layers.ts'
import { PreparationError, prepare } from './preparation.ts'
import type { EffectRequest } from './rules/draft.ts'

/** A worker's hold on an effect. The signal aborts when it was cancelled or taken over. */
export interface Hold {
  signal: AbortSignal
  /** Asked before every step outside: rejects when another worker has the effect by now, as after having been frozen. */
  assertHeld(): Promise<void>
}

export interface RepositoryRequest {
  sessionId: string
  ownerId: string
  repository: Repository
  /** Of an additional one. */
  additional?: { name: string; access: Access }
}

/** Git on the host, as the effects need it. Credentials are found by who implements this. */
export interface RepositoryPort {
  prepare(
    request: RepositoryRequest,
    signal: AbortSignal,
    /** Is told what git says meanwhile, line by line. */
    onLine: (line: string) => void,
  ): Promise<{
    /** The one that was asked for, or with a number when that was taken. */
    branch?: string
    commit: string
    baseBranch: string | null
    environmentFile?: Omit<EnvironmentFileText, 'hasImage'> | null
  }>
  measure(
    which: { sessionId: string; repository: string | undefined },
    signal: AbortSignal,
  ): Promise<{ commit: string; filesChanged: number; insertions: number; deletions: number }>
  /** Pushes outward what was kept; resolves with the commit once it is outside. */
  forward(
    which: { state: SessionState; repository: string | undefined },
    signal: AbortSignal,
  ): Promise<{ commit: string }>
  /** All of the session's. */
  remove(sessionId: string, signal: AbortSignal): Promise<void>
}

export interface SandboxPort {
  /** Creates the sandbox when there is none or its disk is lost, starts it, and says in one line how it is isolated. */
  start(
    state: SessionState,
    hold: Hold,
    /** Is told, in sentences, what takes long, and when the sandbox had to be made anew without its disk. */
    onLine: (line: string) => void,
    from: {
      /** The layers that it is made from when there is none. */
      first: string[]
      /** Asked for them when it has to be made anew, or cannot be made from those. */
      anew: () => Promise<string[]>
      /** Waited for before it starts, not before it is made: the door that is shown inside. */
      door: Promise<void>
    },
  ): Promise<string>
  /** Whether there is one, running or not: it keeps the layers that it was made from. */
  has(sessionId: string): Promise<boolean>
  /** Whether it can be made from this image here. */
  hasImage(image: Image): Promise<boolean>
  /** Before there is a session: its work comes later. */
  startAhead(
    session: Pick<SessionState, 'id' | 'environment'> & { layers: string[]; hasAgent: boolean },
    signal: AbortSignal,
  ): Promise<void>
  /** Whether anything computes in it; takes some seconds to say. */
  isWorking(sessionId: string, signal: AbortSignal): Promise<boolean>
  stop(state: SessionState, graceMs: number, signal: AbortSignal): Promise<void>
  remove(sessionId: string, signal: AbortSignal): Promise<void>
  list(): Promise<{ sessionId: string; running: boolean; message: string }[]>
}

/** The gateway's listeners, one per session. */
export interface DoorsPort {
  open(sessionId: string, signal: AbortSignal): Promise<void>
  close(sessionId: string, signal: AbortSignal): Promise<void>
}

export interface EffectPorts {
  repositories: RepositoryPort
  sandboxes: SandboxPort
  doors: DoorsPort
  layers: Pick<Layers, 'find'>
  checkouts: Pick<CheckoutLayers, 'has' | 'find' | 'want'>
  report(sessionId: string, command: ReportCommand): Promise<SessionState>
}

const generation = z.int()
const repository = z.string().optional()
const effectSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('sandbox.start'), generation }),
  z.object({
    kind: z.literal('sandbox.stop'),
    generation,
    why: z.enum(['user', 'idle', 'archived', 'failed']),
  }),
  z.object({ kind: z.literal('sandbox.watch'), generation }),
  z.object({ kind: z.literal('changes.measure'), repository }),
  z.object({
    kind: z.literal('push.forward'),
    repository,
    attempt: z.int().default(0),
    notBefore: z.string().nullable().default(null),
  }),
  z.object({ kind: z.literal('session.remove') }),
])

export function parseEffect(kind: string, payload: unknown): EffectRequest {
  return effectSchema.parse({ ...(payload as object), kind })
}

/** The runner gets this long to end its agent in order; then everything in the sandbox is killed. */
const STOP_GRACE_MS = 4_000
/** A program that does not answer for this long is asked again. */
const ANSWER_MS = 30_000
/** A gateway that does not answer must not hold up the word that the sandbox has stopped. */
const DOOR_ANSWER_MS = 1_000
/** What may pass by itself. Everything else is the outside's own no. */
const PASSING: ReadonlySet<AppError['code']> = new Set(['unavailable', 'timeout', 'internal'])

export function mayPass({ code }: AppError): boolean {
  return PASSING.has(code)
}

/** Does the work and returns the command that reports it; undefined when there is nothing to report. */
export async function runEffect(
  ports: EffectPorts,
  effect: EffectRequest,
  state: SessionState,
  hold: Hold,
): Promise<Command | undefined> {
  const { id: sessionId } = state
  const { signal } = hold
  await hold.assertHeld()
  switch (effect.kind) {
    case 'sandbox.start':
      await prepare({ ports, state, hold })
      return undefined
    case 'sandbox.stop':
      await withDeadline(
        'the stop of a sandbox',
        ANSWER_MS,
        (limit) => ports.sandboxes.stop(state, STOP_GRACE_MS, limit),
        signal,
      )
      await hold.assertHeld()
      await closeDoor(ports, sessionId, signal)
      return { type: 'sandbox.stopped', generation: effect.generation, why: effect.why }
    case 'sandbox.watch': {
      const isWorking = await ports.sandboxes.isWorking(sessionId, signal)
      return { type: 'sandbox.watched', generation: effect.generation, isWorking }
    }
    case 'changes.measure': {
      const { repository } = effect
      const measured = await ports.repositories.measure({ sessionId, repository }, signal)
      return { type: 'changes.measured', repository, ...measured }
    }
    case 'push.forward': {
      const { repository } = effect
      const forwarded = await ports.repositories.forward({ state, repository }, signal)
      return { type: 'push.forwarded', repository, ...forwarded }
    }
    case 'session.remove':
      // The session is there, so nobody wants this.
      return undefined
  }
}

/** Takes away everything outside of the database; each part is tried, whatever becomes of the others. */
export async function removeOutside(
  { sandboxes, doors, repositories }: EffectPorts,
  sessionId: string,
  signal: AbortSignal,
): Promise<void> {
  const ended = await Promise.allSettled(
    [sandboxes.remove, doors.close, repositories.remove].map((remove) =>
      withDeadline('a removal', ANSWER_MS, (limit) => remove(sessionId, limit), signal),
    ),
  )
  const failed = ended.find((end) => end.status === 'rejected')
  if (failed) throw failed.reason
}

/** One that stays open is closed by the gateway itself: when it takes note of this late, or when it starts again. */
async function closeDoor({ doors }: EffectPorts, sessionId: string, signal: AbortSignal) {
  try {
    await withDeadline(
      'the closing of a door',
      DOOR_ANSWER_MS,
      (limit) => doors.close(sessionId, limit),
      signal,
    )
  } catch {
    signal.throwIfAborted()
  }
}

/** The command that reports a final failure; undefined when only the queue needs to know. */
export function failureOf(effect: EffectRequest, error: AppError): Command | undefined {
  const { reason, message } = error
  if (effect.kind === 'push.forward') {
    const { repository, attempt } = effect
    return {
      type: 'push.forward-fail',
      repository,
      attempt,
      // Our own disk is not the host's no.
      passes: mayPass(error) || error.code === 'no_space',
      reason,
      message,
    }
  }
  // Nothing speaks for keeping it.
  if (effect.kind === 'sandbox.watch')
    return { type: 'sandbox.watched', generation: effect.generation, isWorking: false }
  if (effect.kind !== 'sandbox.start') return undefined
  const phase = error instanceof PreparationError ? error.phase : 'sandbox'
  return { type: 'phase.fail', phase, generation: effect.generation, reason, message }
}
