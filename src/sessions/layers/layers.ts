// Layers of setup scripts: finds the one that a session's sandbox starts from, and makes it where there is none, in a fresh
// sandbox with an id of its own that sees the declared inputs and nothing of a session. Of a key one is made at a time,
// whoever needs it; who finds it being made is put off until it is there.
import type { Environment, Image } from '../../protocol/environment.ts'
import { AppError } from '../../protocol/errors.ts'
import { PHASE_LIMITS_MS, type SessionState } from '../../protocol/session.ts'
import { LAYER_BUILDING, type Layer, type SetupRecipe } from '../../store/layers.ts'
import type { Hold } from '../effects.ts'
import { layerKey } from './layer-key.ts'
import { claimLayer, type LayerMakingDeps, makeLayer } from './layer-making.ts'

export interface LayersDeps extends LayerMakingDeps {
  /** Of a commit, from the session's repository. */
  readInputs(
    request: { sessionId: string; commit: string; paths: string[] },
    signal: AbortSignal,
  ): Promise<SetupRecipe['files']>
  /** layerKey unless a test leaves something out. */
  keyOf?: typeof layerKey
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
const LINES_TOLD = 5
const REPLACED =
  'The image was replaced while the setup script ran on the old one: it runs once more, on the new one.'

export function createLayers(deps: LayersDeps): Layers {
  const { keyOf = layerKey } = deps
  return {
    find: async (request) => {
      const { environment, reach } = request
      const { ownerId } = request.state
      const recipe = { environment, reach, files: await readFiles(deps, request) }
      const identify = () => deps.sandboxes.identify(environment.image)
      let image = await identify()
      for (;;) {
        const wanted = { key: keyOf({ ownerId, image, ...recipe }), recipe }
        await request.hold.assertHeld()
        const found = await claim(deps, wanted, request)
        const { holder } = found
        if (holder === undefined) {
          if (await isUsable(deps, found, request)) return [found.layer.id]
          continue
        }
        const made = await make(deps, { ...found, recipe, holder }, request)
        const now = await identify()
        // What runs on the machine's own files sees each change of them anyway.
        if (now === image || environment.image.kind === 'host') return [made]
        image = now
        request.onLine(REPLACED)
      }
    },
    ready: async (ownerId, environment) => {
      if (environment.setup.trim() === '') return []
      if (environment.setupInputs.length > 0) return undefined
      const image = await deps.sandboxes.identify(environment.image)
      const reach = environment.image
      const key = keyOf({ ownerId, environment, reach, image, files: [] })
      const layer = await deps.store.findReady(key, oldest())
      return layer && [layer.id]
    },
  }
}

const oldest = () => new Date(Date.now() - LAYER_LASTS_MS)

/** What is to be made by the caller now, or what there is. */
function claim(
  { store }: LayersDeps,
  { key, recipe }: { key: string; recipe: SetupRecipe },
  { state, environment }: LayerRequest,
) {
  return claimLayer(store, {
    ...{ key, ownerId: state.ownerId, environmentId: environment.id, recipe },
    notBefore: oldest(),
    waitingSince: waitingSince(state),
  })
}

async function make(
  deps: LayersDeps,
  { layer, recipe, holder }: { layer: Layer; recipe: SetupRecipe; holder: string },
  { hold, onLine }: LayerRequest,
): Promise<string> {
  const { environment } = recipe
  const making = { layer, holder, environment, limitMs: BUILD_LIMIT_MS, failureOf, endedEarly }
  return makeLayer(deps, making, { hold, onLine })
}

function endedEarly(message: string): AppError {
  return new AppError('conflict', 'setup_sandbox_ended', `During the setup script: ${message}`)
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
