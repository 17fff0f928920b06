// Layers that hold the work tree of a commit: finds the one that a session's sandbox starts from, and makes one behind the
// back of a session whose repository is large. No session waits for the making, and none fails with it: without a layer the
// work tree is cloned. What a layer holds is said by the id of its commit, whoever asked for it.
import { delay, orAborted } from '../../lib/deadline.ts'
import { AppError } from '../../protocol/errors.ts'
import type { SessionState } from '../../protocol/session.ts'
import type { CheckoutRecipe, Layer, LayerCheckout } from '../../store/layers.ts'
import type { Hold } from '../effects.ts'
import { checkoutKey } from './layer-key.ts'
import { claimLayer, type LayerMakingDeps, makeLayer } from './layer-making.ts'

export interface CheckoutLayersDeps extends LayerMakingDeps {
  git: {
    countFiles(
      request: { sessionId: string; commit: string; most: number },
      options: { signal: AbortSignal },
    ): Promise<{ files: number }>
    nearest(
      request: { sessionId: string; commit: string; candidates: string[] },
      options: { signal: AbortSignal },
    ): Promise<{ nearest: { commit: string; changed: number } | null }>
  }
  getSession(sessionId: string): Promise<Pick<SessionState, 'sandbox'> | undefined>
}

export interface CheckoutLayersOptions {
  /** A repository with fewer files is cloned each time; 0 for all of them. */
  leastFiles: number
}

type Repository = Pick<SessionState['repository'], 'url' | 'name'>
type Asking = Pick<SessionState, 'id' | 'ownerId' | 'repository' | 'environment'>

export interface CheckoutLayers {
  /** Whether there are work trees of this repository. */
  has(ownerId: string, repository: Repository): Promise<boolean>
  /** What the sandbox starts from: one layer or none. Never rejects but by its signal. */
  find(state: Asking, commit: () => Promise<string>, signal: AbortSignal): Promise<string[]>
  /** A session has been prepared: unless its repository is small, the next one is to find its work tree. */
  want(state: Asking, commit: string): void
  /** Resolves when nothing is being made. */
  settled(): Promise<void>
  close(): Promise<void>
}

const MOST_CANDIDATES = 8
/** Of the least number of files: when more have changed since, a layer of its own is worth its making. */
const WORN_PART = 0.1
const MAKE_LIMIT_MS = 20 * 60_000
/** The runner ends it first, and tells so. */
export const CHECKOUT_LIMIT_MS = MAKE_LIMIT_MS - 10_000
const FAILED_MS = 24 * 3_600_000
/** A session's own checkout is not to be slowed down by one that nobody waits for. */
const PREPARED_LOOK_MS = 500
const PREPARED_LIMIT_MS = 20 * 60_000

export function createCheckoutLayers(
  deps: CheckoutLayersDeps,
  options: CheckoutLayersOptions,
): CheckoutLayers {
  const closing = new AbortController()
  const queued = new Set<string>()
  let making = Promise.resolve()
  const list = (ownerId: string, { url, name }: Repository) =>
    deps.store.listCheckouts({ ownerId, url, name }, MOST_CANDIDATES)
  return {
    has: async (ownerId, repository) => (await list(ownerId, repository)).length > 0,
    find: async (state, commit, signal) => {
      try {
        const layers = await list(state.ownerId, state.repository)
        if (layers.length === 0) return []
        const sought = { sessionId: state.id, commit: await orAborted(commit(), signal), signal }
        return await choose(deps, layers, sought)
      } catch (err) {
        signal.throwIfAborted()
        deps.logger.warn({ err, sessionId: state.id }, 'a work tree is cloned, not taken')
        return []
      }
    },
    want: (state, commit) => {
      const key = checkoutKey(state.ownerId, { ...state.repository, commit })
      if (queued.has(key) || closing.signal.aborted) return
      queued.add(key)
      making = making.then(async () => {
        try {
          await makeIfWorth(deps, options, { state, commit, key, signal: closing.signal })
        } catch (err) {
          if (!closing.signal.aborted)
            deps.logger.warn({ err, sessionId: state.id }, 'a work tree was not kept as a layer')
        } finally {
          queued.delete(key)
        }
      })
    },
    settled: () => making,
    close: async () => {
      closing.abort(new Error('the server ends'))
      await making
    },
  }
}

interface Sought {
  sessionId: string
  commit: string
  signal: AbortSignal
}

async function choose(
  { git, store, sandboxes }: CheckoutLayersDeps,
  layers: Layer[],
  { signal, ...sought }: Sought,
): Promise<string[]> {
  const candidates = [...new Set(layers.map(commitOf))]
  const { nearest } = await git.nearest({ ...sought, candidates }, { signal })
  const layer = nearest && layers.find((one) => commitOf(one) === nearest.commit)
  if (!layer) return []
  if (!(await sandboxes.hasLayer(layer.id))) {
    await store.markStale({ ids: [layer.id] })
    return []
  }
  await store.markUsed(layer.id)
  return [layer.id]
}

interface Making {
  state: Asking
  commit: string
  key: string
  signal: AbortSignal
}

async function makeIfWorth(
  deps: CheckoutLayersDeps,
  { leastFiles }: CheckoutLayersOptions,
  { state, commit, key, signal }: Making,
): Promise<void> {
  const { id: sessionId, ownerId, repository } = state
  const { url, name } = repository
  const most = Math.max(1, leastFiles)
  // Also what git says of it is not to be asked for beside its own start.
  await untilPrepared(deps, sessionId, signal)
  const { files } = await deps.git.countFiles({ sessionId, commit, most }, { signal })
  if (files < leastFiles || !(await isWorn(deps, leastFiles, { state, commit, signal }))) return
  const recipe: CheckoutRecipe = { name, commit, sessionId, limits: state.environment.limits }
  const checkout: LayerCheckout = { url, name, commit }
  const { layer, holder } = await claimLayer(deps.store, {
    ...{ key, ownerId, environmentId: '', recipe, checkout },
    notBefore: new Date(0),
    // One that failed lately would fail again.
    waitingSince: new Date(Date.now() - FAILED_MS),
  })
  if (holder === undefined) return
  const environment = { image: { kind: 'host' as const }, limits: recipe.limits, variables: {} }
  const making = { layer, holder, environment, limitMs: MAKE_LIMIT_MS, failureOf, endedEarly }
  const hold: Hold = { signal, assertHeld: async () => signal.throwIfAborted() }
  await makeLayer(deps, making, { hold, onLine: () => undefined })
}

/** Whether what there is for this commit is too far from it, or nothing. */
async function isWorn(
  { git, store }: CheckoutLayersDeps,
  leastFiles: number,
  { state, commit, signal }: Omit<Making, 'key'>,
): Promise<boolean> {
  const { id: sessionId, ownerId, repository } = state
  const { url, name } = repository
  const layers = await store.listCheckouts({ ownerId, url, name }, MOST_CANDIDATES)
  if (layers.length === 0) return true
  const candidates = [...new Set(layers.map(commitOf))]
  const { nearest } = await git.nearest({ sessionId, commit, candidates }, { signal })
  return nearest === null || nearest.changed > leastFiles * WORN_PART
}

async function untilPrepared(
  { getSession }: CheckoutLayersDeps,
  sessionId: string,
  signal: AbortSignal,
): Promise<void> {
  const until = Date.now() + PREPARED_LIMIT_MS
  while (Date.now() < until) {
    if ((await getSession(sessionId))?.sandbox.state !== 'preparing') return
    await delay(PREPARED_LOOK_MS, signal)
  }
}

function commitOf({ checkout }: Layer): string {
  return checkout?.commit ?? ''
}

function failureOf({ exitCode, log }: Pick<Layer, 'exitCode' | 'log'>): AppError | undefined {
  if (exitCode === 0) return undefined
  const words = log.at(-1) ?? ''
  const why = exitCode === null ? 'It took too long.' : words
  return new AppError('conflict', 'checkout_layer_failed', why)
}

function endedEarly(message: string): AppError {
  return new AppError('conflict', 'checkout_layer_failed', message)
}
