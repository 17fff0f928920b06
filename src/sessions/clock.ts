// Looks after what time alone changes: phases that take too long, idle sandboxes, sandboxes that ended by themselves
// and those that no session has any more. Safe to run in several programs at once.
import { delay } from '../lib/deadline.ts'
import type { Logger } from '../lib/logger.ts'
import type { ReportCommand } from '../protocol/command.ts'
import type { SessionState } from '../protocol/session.ts'
import type { EffectQueue } from '../store/effects.ts'
import type { LayerStore } from '../store/layers.ts'
import type { SessionDirectory } from '../store/sessions.ts'
import type { StandbyStore } from '../store/standbys.ts'
import type { Dispatch } from './dispatch.ts'
import type { SandboxPort } from './effects.ts'

export interface ClockDeps {
  directory: SessionDirectory
  dispatch: Dispatch
  sandboxes: SandboxPort
  standbys: Pick<StandbyStore, 'has'>
  layers: Pick<LayerStore, 'findBuilding'>
  effects: Pick<EffectQueue, 'countOpen' | 'prune'>
  logger: Logger
}

export interface ClockOptions {
  tickMs: number
  reconcileMs: number
}

export interface Clock {
  close(): Promise<void>
}

const MOST_AT_ONCE = 100
/** A program that does not answer for this long is asked again at the next look. */
const ANSWER_MS = 30_000
/** When to look again after a sandbox was missed. */
const MISSED_MS = 1_000
const LOOKS = 2
/** What effects have ended is kept for who looks for a fault, and forgotten once a look finds it old. */
const ENDED_KEPT_MS = 7 * 24 * 3_600_000
const PRUNE_MS = 3_600_000
/** While it is being stopped: its processes have ended long before its disk is let go. */
const LOOKS_AT_STOP = 30

export function createClock(deps: ClockDeps, options: ClockOptions): Clock {
  const closing = new AbortController()
  const missing: Missing = new Map()
  let isCounted = false
  const ticking = every(
    options.tickMs,
    closing.signal,
    async () => {
      if (!isCounted) await countAnew(deps)
      isCounted = true
      return tick(deps)
    },
    deps.logger,
  )
  const reconciling = every(
    options.reconcileMs,
    closing.signal,
    async () => {
      await reconcile(deps, missing)
      return missing.size > 0 ? MISSED_MS : undefined
    },
    deps.logger,
  )
  const pruning = every(
    PRUNE_MS,
    closing.signal,
    async () => {
      await deps.effects.prune(new Date(Date.now() - ENDED_KEPT_MS))
      return undefined
    },
    deps.logger,
  )
  return {
    close: async () => {
      closing.abort()
      await Promise.all([ticking, reconciling, pruning])
    },
  }
}

/**
 * How long a sandbox may rest is a setting, and it may have been another one when its time was noted, or none. A stop that is asked
 * for already is not asked for again.
 */
export async function countAnew(
  deps: Pick<ClockDeps, 'directory' | 'dispatch' | 'effects' | 'logger'>,
): Promise<void> {
  for (const { id, turn } of await deps.directory.listBySandboxState(['ready']))
    if (turn === null && !(await isAskedFor(deps.effects, id)))
      await tell(deps, id, { type: 'clock.tick' })
}

async function isAskedFor(effects: ClockDeps['effects'], id: string): Promise<boolean> {
  const kinds = ['sandbox.watch', 'sandbox.stop'] as const
  const open = await Promise.all(kinds.map((kind) => effects.countOpen(kind, id)))
  return open.some((count) => count > 0)
}

export async function tick(deps: ClockDeps): Promise<undefined> {
  for (const sessionId of await deps.directory.listOverdue(new Date(), MOST_AT_ONCE))
    await tell(deps, sessionId, { type: 'clock.tick' })
}

/** One that is gone meanwhile, or cannot be read by this version, must not keep the limits of the others. */
async function tell(
  { dispatch, logger }: Pick<ClockDeps, 'dispatch' | 'logger'>,
  sessionId: string,
  command: ReportCommand,
): Promise<void> {
  try {
    await dispatch.command(sessionId, command)
  } catch (error) {
    logger.warn({ err: error, sessionId }, 'a session could not be told what time has changed')
  }
}

/** Each sandbox that was missed at the last look, and how often by then. */
type Missing = Map<string, { generation: number; looks: number }>

/** Compares what should run with what runs. Only what is missed twice is lost: a stop may have been asked for just now. */
export async function reconcile(deps: ClockDeps, missing: Missing): Promise<void> {
  const { directory, sandboxes } = deps
  const sessions = await directory.listBySandboxState(['preparing', 'ready'])
  const found = new Map((await sandboxes.list()).map((sandbox) => [sandbox.sessionId, sandbox]))
  const looked = new Set(sessions.map(({ id }) => id))
  for (const id of missing.keys()) if (!looked.has(id)) missing.delete(id)
  for (const { id, sandbox } of sessions) {
    const { generation } = sandbox
    const before = missing.get(id)
    const looks = before?.generation === generation ? before.looks + 1 : 1
    if (!wasStarted(sandbox) || found.get(id)?.running) {
      missing.delete(id)
    } else if (looks >= LOOKS && (looks >= LOOKS_AT_STOP || !(await isStopped(deps, id)))) {
      missing.delete(id)
      const message = found.get(id)?.message ?? 'The sandbox is gone.'
      await tell(deps, id, {
        type: 'sandbox.lost',
        generation,
        reason: 'sandbox_ended',
        message,
      })
    } else {
      missing.set(id, { generation, looks })
    }
  }
  await removeOrphans(deps, [...found.keys()])
}

/** Or is being stopped. In this order: the end of a stop is told together with what it has done. */
async function isStopped({ effects, directory, logger }: ClockDeps, id: string): Promise<boolean> {
  try {
    if ((await effects.countOpen('sandbox.stop', id)) > 0) return true
    return (await directory.get(id))?.sandbox.state === 'stopped'
  } catch (err) {
    logger.warn({ err, sessionId: id }, 'whether a sandbox is being stopped could not be seen')
    return false
  }
}

/** Who started it may not have come to say so: its runner has, where it is ready. */
function wasStarted({ state, phases }: SessionState['sandbox']): boolean {
  return (
    state === 'ready' || phases.some((one) => one.name === 'sandbox' && one.state === 'completed')
  )
}

async function removeOrphans(deps: ClockDeps, found: string[]): Promise<void> {
  const { sandboxes, logger } = deps
  for (const sessionId of found) {
    if (await isWanted(deps, sessionId)) continue
    try {
      await sandboxes.remove(sessionId, AbortSignal.timeout(ANSWER_MS))
    } catch (error) {
      // One that cannot be removed now must not keep the others.
      logger.warn({ err: error, sessionId }, 'a sandbox that no session has could not be removed')
    }
  }
}

/** In this order: one that waits becomes a session before it is none that waits. */
async function isWanted(
  { standbys, directory, layers }: ClockDeps,
  sessionId: string,
): Promise<boolean> {
  if ((await standbys.has(sessionId)) || (await directory.has(sessionId))) return true
  return (await layers.findBuilding(sessionId)) !== undefined
}

async function every(
  usualMs: number,
  signal: AbortSignal,
  /** May say when to look next. */
  work: () => Promise<number | undefined>,
  logger: Logger,
): Promise<void> {
  while (!signal.aborted) {
    let ms = usualMs
    try {
      ms = (await work()) ?? usualMs
    } catch (error) {
      if (!signal.aborted) logger.error({ err: error }, 'a look of the clock failed')
    }
    await delay(ms, signal).catch(() => undefined)
  }
}
