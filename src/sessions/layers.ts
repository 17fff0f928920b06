// Layers of setup scripts: finds the one that a session's sandbox starts from, and makes it where there is none, in a fresh
// sandbox with an id of its own that sees the declared inputs and nothing of a session. Of a key one is made at a time,
// whoever needs it; who finds it being made is put off until it is there.
import { randomBytes } from 'node:crypto'
import { delay, withDeadline } from '../lib/deadline.ts'
import type { Logger } from '../lib/logger.ts'
import type { Environment, Image } from '../protocol/environment.ts'
import { AppError, toAppError } from '../protocol/errors.ts'
import { createId } from '../protocol/ids.ts'
import { PHASE_LIMITS_MS, type SessionState } from '../protocol/session.ts'
import { LAYER_BUILDING, type Layer, type LayerRecipe, type LayerStore } from '../store/layers.ts'
import type { DoorsPort, Hold } from './effects.ts'
import { layerKey } from './layer-key.ts'

/** Sandboxes and repositories, as the making of layers needs them. */
export interface LayerSandboxes {
  identify(image: Environment['image']): Promise<string>
  /** Creates and starts one that becomes a layer. */
  startLayer(
    made: { sandboxId: string; environment: Environment },
    signal: AbortSignal,
  ): Promise<void>
  /** Ends it and keeps what was written; resolves with the bytes that this takes. */
  keepLayer(sandboxId: string, layerId: string): Promise<number>
  hasLayer(layerId: string): Promise<boolean>
  remove(sandboxId: string, signal: AbortSignal): Promise<void>
  list(): Promise<{ sessionId: string; running: boolean; message: string }[]>
}

export interface LayersDeps {
  store: LayerStore
  sandboxes: LayerSandboxes
  doors: DoorsPort
  /** Of a commit, from the session's repository. */
  readInputs(
    request: { sessionId: string; commit: string; paths: string[] },
    signal: AbortSignal,
  ): Promise<LayerRecipe['files']>
  /** Something was reported of the sandbox; returns a function that unsubscribes. */
  onReport(listener: (sandboxId: string) => void): () => void
  logger: Logger
}

export interface LayerRequest {
  state: Pick<SessionState, 'id' | 'ownerId' | 'sandbox'>
  /** With a setup script: the owner's, or the repository's. */
  environment: Environment
  /** Whose registries the script may reach at level trusted. */
  reach: Image
  /** Only asked when the environment names inputs. */
  commit: () => Promise<string>
  hold: Hold
  onLine: (line: string) => void
}

export interface Layers {
  /** The ids of the layers, made if need be. Rejects with `layer_building` when somebody else makes one: come again. */
  find(request: LayerRequest): Promise<string[]>
  /** Without a session: undefined when none is ready, or when it depends on a repository. */
  ready(ownerId: string, environment: Environment): Promise<string[] | undefined>
}

/** The runner ends the script first, and tells so. */
const MARGIN_MS = 20_000
export const SETUP_LIMIT_MS = PHASE_LIMITS_MS.environment - MARGIN_MS
/** The server's own limit, in case that the runner does not. */
const BUILD_LIMIT_MS = SETUP_LIMIT_MS + MARGIN_MS / 2
export const LAYER_LASTS_MS = 7 * 24 * 3_600_000
const LEASE_MS = 30_000
const LOOK_MS = 2_000
const LINES_TOLD = 5
const TIDY_MS = 30_000

export function createLayers(deps: LayersDeps): Layers {
  return {
    find: async (request) => {
      const { environment, reach } = request
      const { ownerId } = request.state
      const recipe = { environment, reach, files: await readFiles(deps, request) }
      const image = await deps.sandboxes.identify(environment.image)
      const wanted = { key: layerKey({ ownerId, image, ...recipe }), recipe }
      await request.hold.assertHeld()
      for (;;) {
        const found = await claim(deps, wanted, request)
        if ('holder' in found) return [await makeLayer(deps, found, request)]
        if (await isUsable(deps, found, request)) return [found.layer.id]
      }
    },
    ready: async (ownerId, environment) => {
      if (environment.setup.trim() === '') return []
      if (environment.setupInputs.length > 0) return undefined
      const image = await deps.sandboxes.identify(environment.image)
      const reach = environment.image
      const key = layerKey({ ownerId, environment, reach, image, files: [] })
      const layer = await deps.store.findReady(key, oldest())
      return layer && [layer.id]
    },
  }
}

const oldest = () => new Date(Date.now() - LAYER_LASTS_MS)

interface Making {
  layer: Layer
  recipe: LayerRecipe
  holder: string
}

/** What is to be made by the caller now, or what there is. */
async function claim(
  { store }: LayersDeps,
  { key, recipe }: { key: string; recipe: LayerRecipe },
  { state, environment }: LayerRequest,
): Promise<Making | { layer: Layer }> {
  const holder = `build-${randomBytes(8).toString('hex')}`
  const { claimed, layer } = await store.claim({
    ...{ key, ownerId: state.ownerId, environmentId: environment.id },
    ...{ recipe, holder, leaseMs: LEASE_MS },
    ids: {
      layerId: createId('layer', randomBytes(20)),
      sandboxId: createId('session', randomBytes(20)),
    },
    notBefore: oldest(),
    waitingSince: waitingSince(state),
  })
  return claimed ? { layer, recipe, holder } : { layer }
}

/** False when its files have gone, as after a restored backup; rejects while it is being made and when that failed. */
async function isUsable(
  { store, sandboxes }: LayersDeps,
  { layer }: { layer: Layer },
  { state, onLine }: LayerRequest,
): Promise<boolean> {
  const { id, madeAt, failure } = layer
  if (layer.state === 'ready') {
    if (await sandboxes.hasLayer(id)) {
      onLine(`The setup script ran on ${madeAt?.toISOString()}: what it made is used.`)
      return true
    }
    await store.markStale({ ids: [id] })
    return false
  }
  if (layer.state === 'building') {
    if (!waitingSince(state)) onLine('Another session runs this setup script: waiting for it.')
    throw new AppError('unavailable', LAYER_BUILDING, 'The setup script runs for another session.')
  }
  throw new AppError('conflict', failure?.reason ?? 'setup_failed', failure?.message ?? '')
}

/** Since when this preparation has waited for a layer, if it has. */
function waitingSince({ sandbox }: LayerRequest['state']): Date | undefined {
  const phase = sandbox.phases.find(({ name }) => name === 'environment')
  return phase && new Date(phase.startedAt)
}

async function readFiles(
  deps: LayersDeps,
  { state, environment, commit, hold, onLine }: LayerRequest,
) {
  const { setupInputs: paths } = environment
  if (paths.length === 0) return []
  const asked = { sessionId: state.id, commit: await commit(), paths }
  const files = await deps.readInputs(asked, hold.signal)
  const missing = paths.filter((path) => !files.some((file) => file.path === path))
  if (missing.length > 0) onLine(`Not in the repository: ${missing.join(', ')}`)
  return files
}

/** Whatever happens, nothing of its sandbox is left, and whoever waits for it is woken. */
async function makeLayer(
  deps: LayersDeps,
  making: Making,
  { hold, onLine }: LayerRequest,
): Promise<string> {
  const { store, sandboxes, doors } = deps
  const { layer, recipe, holder } = making
  const sandboxId = layer.sandboxId ?? ''
  const lease = keepLease(deps, making)
  const signal = AbortSignal.any([hold.signal, lease.signal])
  try {
    await doors.open(sandboxId, signal)
    await hold.assertHeld()
    const { environment } = recipe
    await sandboxes.startLayer({ sandboxId, environment }, signal)
    const ended = await withDeadline(
      'the setup script',
      BUILD_LIMIT_MS,
      (limit) => waitForEnd(deps, making, { signal: limit, onLine }),
      signal,
    )
    const failure = failureOf(ended)
    await hold.assertHeld()
    if (failure) throw failure
    const bytes = await sandboxes.keepLayer(sandboxId, layer.id)
    if (!(await store.finish(layer.id, holder, bytes)))
      throw new AppError('unavailable', 'layer_lost', 'The setup script was begun anew meanwhile.')
    return layer.id
  } catch (error) {
    const { code, reason, message } = toAppError(error)
    const isOwn = code === 'conflict' && !signal.aborted
    if (isOwn) await store.fail(layer.id, holder, { reason, message })
    else await store.release(layer.id, holder)
    throw error
  } finally {
    lease.stop()
    for (const end of [sandboxes.remove, doors.close]) await tidy(deps, sandboxId, end)
  }
}

/** What is left is found by the clock. */
async function tidy({ logger }: LayersDeps, sandboxId: string, end: LayerSandboxes['remove']) {
  await end(sandboxId, AbortSignal.timeout(TIDY_MS)).catch((err: unknown) =>
    logger.warn({ err, sandboxId }, 'something of a sandbox that became a layer is left'),
  )
}

function keepLease({ store, logger }: LayersDeps, { layer, holder }: Making) {
  const controller = new AbortController()
  const renew = async () => {
    if (await store.renew(layer.id, holder, LEASE_MS)) return
    controller.abort(new AppError('unavailable', 'layer_lost', 'Somebody else makes this layer.'))
  }
  const timer = setInterval(() => {
    renew().catch((err: unknown) => logger.warn({ err }, 'renewing the lease of a layer failed'))
  }, LEASE_MS / 3)
  return { signal: controller.signal, stop: () => clearInterval(timer) }
}

/** Tells its log as it grows; resolves once the script has ended. Looks by itself as well: a notification may be lost. */
async function waitForEnd(
  { store, sandboxes, onReport }: LayersDeps,
  { layer }: Making,
  { signal, onLine }: { signal: AbortSignal; onLine: (line: string) => void },
): Promise<Layer> {
  const { sandboxId } = layer
  let told = 0
  let isMissing = false
  for (;;) {
    const woken = new AbortController()
    const stopListening = onReport((id) => id === sandboxId && woken.abort())
    try {
      const now = await store.get(layer.id)
      if (!now) throw new AppError('unavailable', 'layer_lost', 'Somebody else makes this layer.')
      const fresh = Math.min(now.logCount - told, now.log.length)
      for (const line of now.log.slice(now.log.length - fresh)) onLine(line)
      told = now.logCount
      if (now.hasEnded) return now
      const sandbox = (await sandboxes.list()).find(({ sessionId }) => sessionId === sandboxId)
      // What it reported last may still be on its way.
      if (!sandbox?.running && isMissing) throw sandboxEnded(sandbox?.message)
      isMissing = !sandbox?.running
      await delay(LOOK_MS, AbortSignal.any([signal, woken.signal])).catch(() => undefined)
      signal.throwIfAborted()
    } finally {
      stopListening()
    }
  }
}

function sandboxEnded(message = 'The sandbox is gone.'): AppError {
  return new AppError('conflict', 'setup_sandbox_ended', `During the setup script: ${message}`)
}

/** Undefined when the script has done its work. */
export function failureOf({
  exitCode,
  log,
}: Pick<Layer, 'exitCode' | 'log'>): AppError | undefined {
  if (exitCode === 0) return undefined
  const words = log.slice(-LINES_TOLD).join('\n')
  if (exitCode === null) {
    const seconds = Math.round(SETUP_LIMIT_MS / 1000)
    const message = `The setup script took longer than ${seconds} s and was ended. ${words}`
    return new AppError('conflict', 'setup_timed_out', message.trim())
  }
  const message = `The setup script ended with exit code ${exitCode}. ${words}`
  return new AppError('conflict', 'setup_failed', message.trim())
}
