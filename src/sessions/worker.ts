// Takes effects from the queue, does them and commits their results. Several workers may run: a lease and a generation
// decide whose result counts. Notifications only wake it; what is overdue is found by looking.
import { backoffMs } from '../lib/backoff.ts'
import { delay } from '../lib/deadline.ts'
import type { Logger } from '../lib/logger.ts'
import type { Command } from '../protocol/command.ts'
import { type AppError, toAppError } from '../protocol/errors.ts'
import type { SessionState } from '../protocol/session.ts'
import type { Effect, EffectQueue } from '../store/effects.ts'
import { LAYER_BUILDING } from '../store/layers.ts'
import type { Dispatch } from './dispatch.ts'
import {
  type EffectPorts,
  failureOf,
  type Hold,
  mayPass,
  parseEffect,
  removeOutside,
  runEffect,
} from './effects.ts'
import type { EffectRequest } from './rules/draft.ts'

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
 * stay below 45 s, and a transaction that such a holder left open has to end before (see store/postgres/database.ts).
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

/** How often what waits for a layer looks by itself. */
const PUT_OFF_MS = 5_000
const RETRY = { firstMs: 500, mostMs: 60_000 }
/** What ends something is never given up, and never waits long. */
const RETRY_ENDING = { firstMs: 500, mostMs: 5_000 }
const ENDING: ReadonlySet<string> = new Set(['sandbox.stop', 'session.remove'])
/** Cancelled or removed meanwhile: the result does not count, and what comes next in the lane waits for this word. */
const UNWANTED: ReadonlySet<string> = new Set(['effect_superseded', 'session_not_found'])
const PUT_BACK = { firstMs: 200, mostMs: 2_000 }
/** A refusal of the outside is final; what may pass by itself is usually tried this often. */
const MOST_ATTEMPTS = 4

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
      .catch((error: unknown) => putBack(deps, effect, { error, options, signal: closing.signal }))
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

/**
 * Nobody could be told how it ended, as while the database is away: it is to be done again as soon as that can be said, and
 * not only once the lease is over.
 */
async function putBack(
  { effects, logger }: WorkerDeps,
  effect: Effect,
  { error, options, signal }: { error: unknown; options: WorkerOptions; signal: AbortSignal },
): Promise<void> {
  const { id, generation, kind } = effect
  logger.error({ err: error, effect: kind }, 'effect failed')
  const { reason, message } = toAppError(error)
  const until = Date.now() + options.leaseMs
  for (let tries = 0; Date.now() < until && !signal.aborted; tries++) {
    try {
      await delay(backoffMs(PUT_BACK, tries, Math.random()), signal)
      await effects.retry(id, generation, { runAfter: nextTry(effect), error: { reason, message } })
      return
    } catch (err) {
      if (!signal.aborted) logger.warn({ err, effect: kind }, 'an effect could not be put back yet')
    }
  }
}

function nextTry({ kind, attempt }: Effect): Date {
  const backoff = ENDING.has(kind) ? RETRY_ENDING : RETRY
  return new Date(Date.now() + backoffMs(backoff, attempt, Math.random()))
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
  const { effects, ports } = deps
  const request = parseEffect(effect.kind, effect.payload)
  try {
    if (request.kind === 'session.remove') {
      await hold.assertHeld()
      await removeOutside(ports, effect.sessionId, hold.signal)
      await effects.forget(effect.id, effect.generation)
      return
    }
    const state = await deps.getSession(effect.sessionId)
    if (!state || isPast(request, state)) {
      await effects.complete(effect.id, effect.generation)
      return
    }
    const command = await runEffect(ports, request, state, hold)
    await settle(deps, effect, command)
  } catch (error) {
    await settleFailure(deps, effect, {
      request,
      error: toAppError(error),
      aborted: hold.signal.aborted,
    })
  }
}

/** What came of it and its end, in one step. */
async function settle(
  { effects, dispatch }: WorkerDeps,
  effect: Effect,
  command: Command | undefined,
): Promise<void> {
  const completes = { effectId: effect.id, generation: effect.generation }
  if (command) await dispatch.command(effect.sessionId, command, { completes })
  else await effects.complete(effect.id, effect.generation)
}

/** Has nothing to do any more: it is of an earlier preparation, or puts a sandbox to a rest that is over. */
function isPast(request: EffectRequest, { sandbox, turn }: SessionState): boolean {
  if (!('generation' in request)) return false
  if (request.generation !== sandbox.generation) return true
  const isForRest =
    request.kind === 'sandbox.watch' || (request.kind === 'sandbox.stop' && request.why === 'idle')
  return isForRest && (turn !== null || sandbox.state !== 'ready')
}

function isTriedAgain({ kind, attempt }: Effect, error: AppError): boolean {
  if (ENDING.has(kind)) return true
  // The rules decide when a push is tried again, so that everybody can see it.
  if (kind === 'push.forward' || !mayPass(error)) return false
  // Nobody asks for this a second time; what git itself does not get done is another matter.
  if (kind === 'changes.measure' && error.code === 'unavailable') return true
  return attempt < MOST_ATTEMPTS
}

async function settleFailure(
  deps: WorkerDeps,
  effect: Effect,
  failure: { request: EffectRequest; error: AppError; aborted: boolean },
): Promise<void> {
  const { effects, logger } = deps
  const { request, error, aborted } = failure
  if (UNWANTED.has(error.reason)) {
    await effects.complete(effect.id, effect.generation)
    return
  }
  const { reason, message } = error
  if (reason === LAYER_BUILDING && !aborted) {
    // It is woken once the layer is there; this is for a word that was missed.
    const next = new Date(Date.now() + PUT_OFF_MS)
    await effects.retry(effect.id, effect.generation, {
      runAfter: next,
      error: { reason, message },
      isPutOff: true,
    })
    return
  }
  if (aborted) {
    await effects.retry(effect.id, effect.generation, {
      runAfter: new Date(),
      error: { reason, message },
      isPutOff: true,
    })
    return
  }
  logger.warn(
    { err: error, effect: effect.kind, sessionId: effect.sessionId },
    'effect did not succeed',
  )
  if (isTriedAgain(effect, error)) {
    await effects.retry(effect.id, effect.generation, {
      runAfter: nextTry(effect),
      error: { reason, message },
    })
    return
  }
  const command = failureOf(request, error)
  if (!command) {
    await effects.fail(effect.id, effect.generation, { reason, message })
    return
  }
  try {
    await settle(deps, effect, command)
  } catch (late) {
    if (!UNWANTED.has(toAppError(late).reason)) throw late
    await effects.complete(effect.id, effect.generation)
  }
}
