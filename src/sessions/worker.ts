// Takes effects from the queue, does them and commits their results. Several workers may run: a lease and a generation
// decide whose result counts. Notifications only wake it; what is overdue is found by looking.
import { backoffMs } from '../lib/backoff.ts'
import type { Logger } from '../lib/logger.ts'
import { type AppError, toAppError } from '../protocol/errors.ts'
import type { SessionState } from '../protocol/session.ts'
import type { Effect, EffectQueue } from '../store/effects.ts'
import type { Dispatch } from './dispatch.ts'
import type { EffectRequest } from './draft.ts'
import { type EffectPorts, failureOf, type Hold, parseEffect, runEffect } from './effects.ts'

export interface WorkerOptions {
  workerId: string
  /**
   * How many effects of a kind may run at once; as many as there are of a kind that is not named. Each kind has its own
   * bound, so that long ones hold up none of another kind.
   */
  bounds: Partial<Record<EffectRequest['kind'], number>>
  leaseMs: number
  /** How often to look without being woken. */
  pollMs: number
  /** Milliseconds since 1970; the clock of the machine unless told. */
  now?: () => number
}

/** Preparing is bounded by the slots of the sessions; a stop never waits for anything. */
const BOUNDS = { 'changes.measure': 4, 'push.forward': 8 }

/**
 * What a holder that is frozen right after a renewal had begun is taken over after leaseMs + pollMs at the latest: it has to
 * stay below 45 s, and a transaction that such a holder left open has to end before (see store/database.ts).
 */
export const WORKER_PACE = { bounds: BOUNDS, leaseMs: 30_000, pollMs: 2_000 } as const

export interface WorkerDeps {
  effects: EffectQueue
  dispatch: Dispatch
  ports: EffectPorts
  getSession(id: string): Promise<SessionState | undefined>
  logger: Logger
}

export interface Worker {
  /** Something was queued or cancelled. */
  wake(): void
  /** Lets running effects go and resolves when none runs any more. */
  close(): Promise<void>
}

const RETRY = { firstMs: 500, mostMs: 60_000 }
/** A refusal of the outside is final; what may pass by itself is tried this often. */
const MOST_ATTEMPTS = 4
const PASSING: ReadonlySet<AppError['code']> = new Set(['unavailable', 'timeout', 'internal'])

export function createWorker(deps: WorkerDeps, options: WorkerOptions): Worker {
  const running = new Map<string, { kind: string; done: Promise<void>; check: () => void }>()
  const closing = new AbortController()
  let looking = false
  let lookAgain = false
  let wakes = 0

  const look = async () => {
    if (looking || closing.signal.aborted) {
      lookAgain = true
      return
    }
    looking = true
    try {
      do {
        lookAgain = false
        await claimAll()
      } while (lookAgain)
    } catch (error) {
      deps.logger.error({ err: error }, 'looking for effects failed')
    } finally {
      looking = false
    }
  }

  const kindsAtBound = () => {
    const bounded = Object.entries(options.bounds).filter(([kind, bound]) => {
      const ofKind = [...running.values()].filter((effect) => effect.kind === kind)
      return ofKind.length >= bound
    })
    return bounded.map(([kind]) => kind)
  }

  const claimAll = async () => {
    while (!closing.signal.aborted) {
      const { workerId, leaseMs } = options
      const wakesBefore = wakes
      const effect = await deps.effects.claim({ workerId, leaseMs, except: kindsAtBound() })
      if (!effect) return
      start(effect)
      // Woken while it was nobody's yet: it may have been cancelled.
      if (wakes !== wakesBefore) running.get(effect.id)?.check()
    }
  }

  const start = (effect: Effect) => {
    const lease = keepLease(deps, effect, options, closing.signal)
    const done = work(deps, effect, lease)
      .catch((error: unknown) =>
        deps.logger.error({ err: error, effect: effect.kind }, 'effect failed'),
      )
      .finally(() => {
        lease.stop()
        running.delete(effect.id)
        void look()
      })
    running.set(effect.id, { kind: effect.kind, done, check: lease.check })
  }

  const timer = setInterval(() => void look(), options.pollMs)
  void look()
  return {
    wake: () => {
      wakes += 1
      for (const { check } of running.values()) check()
      void look()
    },
    close: async () => {
      clearInterval(timer)
      closing.abort(new Error('the worker is closing'))
      await Promise.all([...running.values()].map(({ done }) => done))
    },
  }
}

interface Lease extends Hold {
  check(): void
  stop(): void
}

/** Renews the lease until told to stop. By its own clock a holder knows when it can no longer be sure of it. */
function keepLease(
  deps: WorkerDeps,
  effect: Effect,
  { leaseMs, now = Date.now }: WorkerOptions,
  parent: AbortSignal,
): Lease {
  const controller = new AbortController()
  const signal = AbortSignal.any([controller.signal, parent])
  let renewedAt = (effect.deadlineAt?.getTime() ?? now() + leaseMs) - leaseMs
  const renew = async () => {
    const askedAt = now()
    const renewal = await deps.effects.renew(effect.id, effect.generation, leaseMs)
    if (renewal === 'renewed') renewedAt = askedAt
    else controller.abort(new Error(`the effect was ${renewal}`))
  }
  const check = () => {
    renew().catch((error: unknown) => deps.logger.warn({ err: error }, 'renewing a lease failed'))
  }
  const timer = setInterval(check, leaseMs / 3)
  return {
    signal,
    assertHeld: async () => {
      if (now() - renewedAt > leaseMs / 2) await renew()
      signal.throwIfAborted()
    },
    check,
    stop: () => clearInterval(timer),
  }
}

async function work(deps: WorkerDeps, effect: Effect, hold: Hold): Promise<void> {
  const { effects, dispatch, ports } = deps
  const request = parseEffect(effect.kind, effect.payload)
  const completes = { effectId: effect.id, generation: effect.generation }
  const state = await deps.getSession(effect.sessionId)
  if (!state || isPast(request, state)) {
    await effects.complete(effect.id, effect.generation)
    return
  }
  try {
    const command = await runEffect(ports, request, state, hold)
    if (command) await dispatch.command(effect.sessionId, command, { completes })
    else await effects.complete(effect.id, effect.generation)
  } catch (error) {
    await settleFailure(deps, effect, {
      request,
      error: toAppError(error),
      aborted: hold.signal.aborted,
    })
  }
}

/** An effect of an earlier preparation has nothing to do any more. */
function isPast(request: EffectRequest, state: SessionState): boolean {
  return 'generation' in request && request.generation !== state.sandbox.generation
}

async function settleFailure(
  { effects, dispatch, logger }: WorkerDeps,
  effect: Effect,
  failure: { request: EffectRequest; error: AppError; aborted: boolean },
): Promise<void> {
  const { request, error, aborted } = failure
  if (error.reason === 'effect_superseded') {
    // Cancelled meanwhile: the result does not count, and the session waits for this word.
    await effects.complete(effect.id, effect.generation)
    return
  }
  const { reason, message } = error
  const runAfter = new Date(Date.now() + backoffMs(RETRY, effect.attempt, Math.random()))
  if (aborted) {
    await effects.retry(effect.id, effect.generation, {
      runAfter: new Date(),
      error: { reason, message },
    })
    return
  }
  logger.warn(
    { err: error, effect: effect.kind, sessionId: effect.sessionId },
    'effect did not succeed',
  )
  const isPatient = request.kind === 'push.forward' || effect.attempt < MOST_ATTEMPTS
  const mayPass = PASSING.has(error.code) && isPatient
  if (mayPass || request.kind === 'sandbox.stop') {
    await effects.retry(effect.id, effect.generation, { runAfter, error: { reason, message } })
    return
  }
  const command = failureOf(request, error)
  const completes = { effectId: effect.id, generation: effect.generation }
  if (command) await dispatch.command(effect.sessionId, command, { completes })
  else await effects.fail(effect.id, effect.generation, { reason, message })
}
