// Keeps sandboxes ready for sessions that nobody has asked for yet, some with an agent that waits for a repository. Made for
// the owner and environment that were used last. A sandbox is one session's from the start: it has its id, and no other
// session has ever been in it.
import { createHash, randomBytes } from 'node:crypto'
import { delay } from '../lib/deadline.ts'
import type { Logger } from '../lib/logger.ts'
import type { Environment } from '../protocol/environment.ts'
import { isUnreadable } from '../protocol/found-session.ts'
import { createId } from '../protocol/ids.ts'
import type { Turn } from '../protocol/session.ts'
import type { EnvironmentStore } from '../store/environments.ts'
import type { SessionDirectory } from '../store/sessions.ts'
import type { Standby, StandbyStore } from '../store/standbys.ts'
import type { DoorsPort, SandboxPort } from './effects.ts'
import type { Layers } from './layers/layers.ts'

export interface StandbysDeps {
  store: StandbyStore
  directory: Pick<SessionDirectory, 'has' | 'list' | 'listBySandboxState'>
  environments: Pick<EnvironmentStore, 'ensureDefault'>
  sandboxes: Pick<SandboxPort, 'startAhead' | 'remove' | 'list'>
  layers: Pick<Layers, 'ready'>
  doors: DoorsPort
  logger: Logger
}

export interface StandbysOptions {
  /** How many are kept ready; 0 for none. */
  count: number
  /** How many of them with an agent. */
  agents: number
  /** For whom and how when nobody has used anything yet. */
  ownerId: string
  driver: string
  lookMs: number
}

export interface Standbys {
  /** The id that the new session gets, whose sandbox is there already; undefined when none fits. */
  take(wanted: Wanted & { kind: Turn['kind'] }): Promise<string | undefined>
  /** The session that took it exists, or never will. */
  settle(sessionId: string): Promise<void>
  counts(): Promise<{ ready: number; wanted: number }>
  /** Takes those away that nobody has taken. */
  close(): Promise<void>
}

export interface Wanted {
  ownerId: string
  driver: string
  environment: Environment
}

/** Who took one has made its session by then, or died. */
const TAKEN_MS = 60_000
/** A program that does not answer for this long leaves one behind, which the clock takes away. */
const ANSWER_MS = 30_000
/** One that cannot be made is tried again after this long. */
const FAILED_MS = 60_000

/** Starts by taking away what an earlier start of Errand left: its programs may have been others. */
export function createStandbys(deps: StandbysDeps, options: StandbysOptions): Standbys {
  const { store, logger } = deps
  const closing = new AbortController()
  const keeping = keep(deps, options, closing.signal)
  return {
    take: async (wanted) => {
      if (options.count === 0) return undefined
      try {
        const layers = await deps.layers.ready(wanted.ownerId, wanted.environment)
        const recipe = layers && recipeOf(wanted, layers)
        const hasAgent = wanted.kind === 'agent'
        return recipe && (await store.take({ ownerId: wanted.ownerId, recipe, hasAgent }))
      } catch (error) {
        logger.warn({ err: error }, 'no sandbox that waits could be taken')
        return undefined
      }
    },
    settle: async (sessionId) => {
      await store.remove(sessionId)
    },
    counts: async () => {
      const ready = (await store.list()).filter(({ state }) => state === 'ready').length
      return { ready, wanted: options.count }
    },
    close: async () => {
      closing.abort()
      await keeping
      // Sandboxes of sessions go on without Errand; these would wait for nobody.
      for (const standby of await store.list())
        if (standby.state !== 'taken') await discard(deps, standby)
    },
  }
}

async function keep(
  deps: StandbysDeps,
  options: StandbysOptions,
  signal: AbortSignal,
): Promise<void> {
  const pause = (ms: number) => delay(ms, signal).catch(() => undefined)
  let isFresh = false
  while (!signal.aborted) {
    try {
      if (!isFresh) for (const standby of await deps.store.list()) await discard(deps, standby)
      isFresh = true
      if (options.count > 0) await fill(deps, options, signal)
      await pause(options.lookMs)
    } catch (err) {
      if (signal.aborted) return
      deps.logger.warn({ err }, 'no sandbox could be started ahead')
      await pause(FAILED_MS)
    }
  }
}

async function fill(
  deps: StandbysDeps,
  options: StandbysOptions,
  signal: AbortSignal,
): Promise<void> {
  const { store, directory } = deps
  const wanted = await wantedNext(deps, options)
  // One that would have to be prepared with another layer than its session wants is of no use.
  const layers = await deps.layers.ready(wanted.ownerId, wanted.environment)
  const recipe = layers ? recipeOf(wanted, layers) : ''
  const kept = await removeUseless(deps, recipe)
  if (!layers || kept.length >= options.count) return
  // Whoever waits for a sandbox now comes first.
  if ((await directory.listBySandboxState(['preparing'])).length > 0) return
  const { ownerId, environment } = wanted
  const id = createId('session', randomBytes(20))
  const hasAgent = kept.filter((one) => one.hasAgent).length < options.agents
  await store.add({ sessionId: id, ownerId, recipe, hasAgent })
  try {
    await deps.doors.open(id, signal)
    await deps.sandboxes.startAhead({ id, environment, layers, hasAgent }, signal)
  } catch (error) {
    await discard(deps, { sessionId: id, state: 'starting' })
    throw error
  }
}

/** What the last session was made from: the next one is likely to want the same. */
async function wantedNext(
  { directory, environments }: StandbysDeps,
  { ownerId, driver }: StandbysOptions,
): Promise<Wanted> {
  const [last] = (await directory.list({ includeArchived: true, limit: 1 })).sessions
  if (last && !isUnreadable(last)) return last
  return { ownerId, driver, environment: await environments.ensureDefault(ownerId) }
}

/** Returns those of that recipe that are left. */
async function removeUseless(deps: StandbysDeps, recipe: string): Promise<Standby[]> {
  const all = await deps.store.list()
  if (all.length === 0) return []
  const sandboxes = await deps.sandboxes.list()
  const running = new Set(sandboxes.filter((one) => one.running).map((one) => one.sessionId))
  const left: Standby[] = []
  for (const standby of all) {
    const isUsable = standby.recipe === recipe && running.has(standby.sessionId)
    if (standby.state === 'taken') await removeTaken(deps, standby)
    else if (isUsable) left.push(standby)
    else await discard(deps, standby)
  }
  return left
}

async function removeTaken(deps: StandbysDeps, standby: Standby): Promise<void> {
  if (Date.now() - standby.updatedAt.getTime() < TAKEN_MS) return
  if (await deps.directory.has(standby.sessionId)) await deps.store.remove(standby.sessionId)
  else await discard(deps, standby)
}

/** Whoever removes the row takes the sandbox away: a session that has taken it, or does so just now, keeps it. */
async function discard(
  { store, directory, sandboxes, doors }: StandbysDeps,
  { sessionId, state }: Pick<Standby, 'sessionId' | 'state'>,
): Promise<void> {
  const remove = state === 'taken' ? store.remove : store.removeFree
  if (!(await remove(sessionId)) || (await directory.has(sessionId))) return
  const signal = AbortSignal.timeout(ANSWER_MS)
  await sandboxes.remove(sessionId, signal)
  await doors.close(sessionId, signal)
}

/** All that a sandbox is made from before its work is known. What only the gateway heeds, the network, is not in it. */
function recipeOf(
  { driver, environment }: Pick<Wanted, 'driver' | 'environment'>,
  layers: string[],
): string {
  const { image, limits, variables } = environment
  const sorted = Object.entries(variables).sort(([a], [b]) => (a < b ? -1 : 1))
  return createHash('sha256')
    .update(JSON.stringify([driver, image, limits, sorted, layers]))
    .digest('hex')
}
