// The preparation of a session: its repository is fetched while its sandbox starts, and that begins anew where the repository
// asks for another one.
import { orAborted } from '../lib/deadline.ts'
import type { ReportCommand } from '../protocol/command.ts'
import type { EnvironmentFileText } from '../protocol/environment.ts'
import { AppError, toAppError } from '../protocol/errors.ts'
import type { PhaseName, SessionState } from '../protocol/session.ts'
import { LAYER_BUILDING } from '../store/layers.ts'
import type { EffectPorts, Hold } from './effects.ts'
import { fetchAll } from './fetch-all.ts'
import type { LayerRequest } from './layers/layers.ts'
import { createPhaseLog } from './phase-log.ts'
import { readEnvironmentFile } from './starting/environment-file.ts'
import { isSameSandbox, type Recipe, recipeOf } from './starting/recipe.ts'

export class PreparationError extends AppError {
  readonly phase: PhaseName
  constructor(phase: PhaseName, cause: unknown) {
    const { code, reason, message } = toAppError(cause)
    super(code, reason, message, { cause })
    this.phase = phase
  }
}

export interface Preparing {
  ports: EffectPorts
  state: SessionState
  hold: Hold
}

/** Fetches and starts the sandbox at the same time: the runner waits at its door until the commit is known. */
export async function prepare({ ports, state, hold }: Preparing): Promise<void> {
  const failed = new AbortController()
  const signal = AbortSignal.any([hold.signal, failed.signal])
  const both = { ports, state, hold: { ...hold, signal } }
  const fetched = fetchRepository(both, () => begun.withdraw())
  const commit = () => fetched.then((found) => found.commit)
  const begun = beginSandbox(both, recipeOf(state), commit)
  let putOff: unknown
  const halves = [fetched, startAsAsked(both, begun, fetched)].map((half) =>
    half.catch((error: unknown) => {
      // The other half is let go and waited for: what it began must not go on beside a stop. What is put off comes again.
      if (isPutOff(error)) putOff = error
      else failed.abort(error)
    }),
  )
  await Promise.all(halves)
  failed.signal.throwIfAborted()
  if (putOff) throw putOff
  ports.checkouts.want(state, await commit())
}

const isPutOff = (error: unknown) => toAppError(error).reason === LAYER_BUILDING

interface Fetched {
  /** That the session starts from. */
  commit: string
  /** When the repository asks for a sandbox that the environment alone does not give. */
  other: Recipe | undefined
}

/** `withdraw` is asked before the commit is known to anybody else: with it a runner would be told its work. */
async function fetchRepository(
  preparing: Preparing,
  withdraw: () => Promise<void>,
): Promise<Fetched> {
  const { ports, state, hold } = preparing
  const { commit } = state.repository
  if (commit !== null) return { commit, other: undefined }
  const found: Fetched = { commit: '', other: undefined }
  await inPhase(preparing, 'fetch', async (generation, onLine) => {
    const prepared = await fetchAll(ports.repositories, { state, signal: hold.signal, onLine })
    found.commit = prepared.commit
    const environmentFile = prepared.environmentFile && {
      ...prepared.environmentFile,
      hasImage: await hasImage(ports, state, prepared.environmentFile),
    }
    const wanted = recipeWith(state, environmentFile)
    if (!isSameSandbox(recipeOf(state), wanted)) {
      found.other = wanted
      await withdraw()
    }
    return { type: 'repository.prepared', generation, ...prepared, environmentFile }
  })
  return found
}

function recipeWith(
  { environment }: SessionState,
  file: EnvironmentFileText | null | undefined,
): Recipe {
  return recipeOf({
    environment,
    environmentFile: file ? readEnvironmentFile(file, environment) : null,
  })
}

async function hasImage(
  { sandboxes }: EffectPorts,
  state: SessionState,
  file: Omit<EnvironmentFileText, 'hasImage'>,
): Promise<boolean> {
  const { environment, reach } = recipeWith(state, { ...file, hasImage: true })
  return environment.image !== reach && (await sandboxes.hasImage(environment.image))
}

interface BegunSandbox {
  done: Promise<void>
  isWithdrawn(): boolean
  /** Ends it and takes its sandbox away, so that another can be begun. */
  withdraw(): Promise<void>
}

/** Begun before it is known what the repository asks for, which is seldom more than its environment gives. */
function beginSandbox(
  preparing: Preparing,
  recipe: Recipe,
  commit: () => Promise<string>,
): BegunSandbox {
  const { ports, state, hold } = preparing
  const withdrawn = new AbortController()
  const signal = AbortSignal.any([hold.signal, withdrawn.signal])
  const own = { ...preparing, hold: { ...hold, signal } }
  // The commit is told only after a withdrawal, which waits for this to end.
  const done = startSandbox(own, recipe, () => orAborted(commit(), signal))
  return {
    done,
    isWithdrawn: () => withdrawn.signal.aborted,
    withdraw: async () => {
      withdrawn.abort(new Error('the repository asks for another sandbox'))
      await done.catch(() => undefined)
      await hold.assertHeld()
      const { generation } = state.sandbox
      await ports.report(state.id, { type: 'phase.withdraw', generation })
      await ports.sandboxes.remove(state.id, hold.signal)
    },
  }
}

async function startAsAsked(
  preparing: Preparing,
  begun: BegunSandbox,
  fetched: Promise<Fetched>,
): Promise<void> {
  try {
    await begun.done
  } catch (error) {
    const mayChange = begun.isWithdrawn() || isPutOff(error)
    if (!mayChange || !(await fetched).other) throw error
  }
  const { commit, other } = await fetched
  if (other) await startSandbox(preparing, other, async () => commit)
}

async function startSandbox(
  preparing: Preparing,
  { environment, setup, reach }: Recipe,
  commit: () => Promise<string>,
): Promise<void> {
  const { ports, state, hold } = preparing
  const anew = async () =>
    setup ? await prepareEnvironment(preparing, { environment: setup, reach, commit }) : []
  const hasCheckout = await mayTakeCheckout(preparing)
  const isMade = (setup !== null || hasCheckout) && (await ports.sandboxes.has(state.id))
  const find = async () =>
    hasCheckout ? await ports.checkouts.find(state, commit, hold.signal) : []
  // A work tree lies over what a setup script has made.
  const first = isMade ? [] : (await Promise.all([find(), anew()])).flat()
  await inPhase(preparing, 'sandbox', async (generation, onLine) => {
    const door = ports.doors.open(state.id, hold.signal)
    // Also where the sandbox cannot be made: a stop, which closes it, must find no door that is still being opened.
    const settled = door.catch(() => undefined)
    const asked = { ...state, environment }
    const { image } = environment
    if (image !== reach && image.kind === 'named')
      onLine(`The image ${image.name} is used, as the repository asks (.errand/environment.yaml).`)
    const started = ports.sandboxes.start(asked, hold, onLine, { first, anew, door })
    const isolation = await started.finally(() => settled)
    return { type: 'sandbox.started', generation, isolation }
  })
}

/** A sandbox that replaces another one starts from what that one had saved. */
async function mayTakeCheckout({ ports, state }: Preparing): Promise<boolean> {
  const { ownerId, repository, sandbox } = state
  return sandbox.generation === 1 && (await ports.checkouts.has(ownerId, repository))
}

/** What the setup script has made, or makes now: resolves with the layers that the sandbox starts from. */
async function prepareEnvironment(
  preparing: Preparing,
  asked: Pick<LayerRequest, 'environment' | 'reach' | 'commit'>,
) {
  const { ports, state, hold } = preparing
  let layers: string[] = []
  await inPhase(preparing, 'environment', async (generation, onLine) => {
    if (asked.environment.setup !== state.environment.setup)
      onLine('The setup script is that of the repository (.errand/environment.yaml).')
    layers = await ports.layers.find({ ...asked, state, hold, onLine })
    return { type: 'phase.complete', phase: 'environment', generation }
  })
  return layers
}

/** The work does not wait for its first event to be stored; its result does, and for its log. */
async function inPhase(
  { ports, state, hold }: Preparing,
  phase: PhaseName,
  work: (generation: number, onLine: (line: string) => void) => Promise<ReportCommand>,
): Promise<void> {
  const { generation } = state.sandbox
  const begun = ports.report(state.id, { type: 'phase.start', phase, generation })
  const log = createPhaseLog(async (lines) => {
    await begun
    await ports.report(state.id, { type: 'phase.log', phase, generation, lines })
  })
  try {
    const [result] = await Promise.all([work(generation, log.add).finally(log.end), begun])
    hold.signal.throwIfAborted()
    await hold.assertHeld()
    await ports.report(state.id, result)
  } catch (error) {
    // Whoever withdraws the phase does so after it has begun.
    await begun.catch(() => undefined)
    throw new PreparationError(phase, error)
  }
}
