// The gateway's part in the making of layers: the network rules of a sandbox that becomes one, what its runner is told and
// what it reports, and the files that its script is given. There is no session and no model; a work tree is read from one
// repository and nothing else is reached.
import type { DoorRoute } from '../door/call-route.ts'
import type { RunnerEvents } from '../door/runner-channel.ts'
import type { Registry } from '../egress/registries/registry-files.ts'
import { compileRules, type EgressRules } from '../egress/rules/policy.ts'
import { registriesOf } from '../image/registries.ts'
import type { Environment, TrafficLimits } from '../protocol/environment.ts'
import { AppError } from '../protocol/errors.ts'
import { joinLimits } from '../protocol/installation-network.ts'
import { type Assignment, RUNNER_PROTOCOL, type RunnerReport } from '../protocol/runner-frames.ts'
import { CHECKOUT_LIMIT_MS } from '../sessions/layers/checkout-layers.ts'
import { SETUP_LIMIT_MS } from '../sessions/layers/layers.ts'
import { isCheckout, type LayerRecipe, type LayerReport, type LayerStore } from '../store/layers.ts'
import type { SessionCredentials } from './credentials.ts'
import { NO_RULES, type SessionWatchDeps } from './sessions.ts'

export interface LayerBuilds {
  /** Reads what is known of it; false when no layer is being made of this sandbox. */
  follow(sandboxId: string): Promise<boolean>
  rules(sandboxId: string): EgressRules | undefined
  traffic(sandboxId: string): TrafficLimits | undefined
  owner(sandboxId: string): string | undefined
  credentials(sandboxId: string): SessionCredentials | undefined
  /** What the owner has set for all of them has changed. */
  recompile(): void
  /** The session whose repository may be read from there; undefined when none may. */
  readsFrom(sandboxId: string): string | undefined
  forget(sandboxId: string): void
  events(sandboxId: string): RunnerEvents
  inputs: DoorRoute
}

export interface LayerBuildsDeps
  extends Pick<SessionWatchDeps, 'installation' | 'network' | 'credentials' | 'onRules'> {
  layers: Pick<LayerStore, 'findBuilding' | 'report'>
}

interface Build {
  ownerId: string
  environment: Environment
  registries: Registry[]
  rules: EgressRules
  credentials: SessionCredentials
}

/** Nothing is prepared twice in such a sandbox. */
const GENERATION = 1

export function createLayerBuilds(deps: LayerBuildsDeps): LayerBuilds {
  const { layers, installation, network, onRules } = deps
  const known = new Map<string, Build>()
  /** Of a work tree: the session whose repository is read. */
  const readers = new Map<string, string>()
  const compile = (made: Omit<Build, 'rules' | 'credentials'>) => compileBuild(deps, made)
  const read = async (sandboxId: string) => {
    const layer = await layers.findBuilding(sandboxId)
    if (!layer?.recipe)
      throw new AppError('not_found', 'layer_not_found', 'No layer is made of this sandbox.')
    return { layer, recipe: layer.recipe }
  }
  return {
    follow: async (sandboxId) => {
      const layer = await layers.findBuilding(sandboxId)
      if (!layer?.recipe) return false
      const { recipe } = layer
      if (isCheckout(recipe)) {
        readers.set(sandboxId, recipe.sessionId)
        return true
      }
      const { environment, reach } = recipe
      const registries = await registriesOf(reach ?? environment.image, installation)
      const { ownerId } = layer
      await deps.credentials.follow(ownerId)
      known.set(sandboxId, compile({ ownerId, environment, registries }))
      return true
    },
    rules: (sandboxId) => (readers.has(sandboxId) ? NO_RULES : known.get(sandboxId)?.rules),
    readsFrom: (sandboxId) => readers.get(sandboxId),
    traffic: (sandboxId) => {
      const build = known.get(sandboxId)
      return build && joinLimits(build.environment.traffic, network())
    },
    owner: (sandboxId) => known.get(sandboxId)?.ownerId,
    credentials: (sandboxId) => known.get(sandboxId)?.credentials,
    recompile: () => {
      for (const [sandboxId, build] of known) {
        const next = compile(build)
        known.set(sandboxId, next)
        onRules(sandboxId, next.rules)
      }
    },
    forget: (sandboxId) => {
      known.delete(sandboxId)
      readers.delete(sandboxId)
    },
    events: (sandboxId) => ({
      onHello: async ({ protocol }) => {
        if (protocol !== RUNNER_PROTOCOL) return { refused: 'protocol_not_supported' }
        const { layer, recipe } = await read(sandboxId)
        const variables = known.get(sandboxId)?.credentials.variables ?? {}
        const assignment = assignmentOf(recipe, variables)
        return { generation: GENERATION, ackedN: layer.ackedN, assignment }
      },
      onParked: () => undefined,
      onConnected: () => undefined,
      onReport: async ({ n, report }) => {
        const redactor = known.get(sandboxId)?.credentials.redactor
        const plain = (lines: string[]) => lines.map((line) => redactor?.text(line) ?? line)
        await layers.report(sandboxId, { n, ...toLayerReport(report, plain) })
        return undefined
      },
      onDelta: () => undefined,
      onDisconnected: () => undefined,
    }),
    inputs: createInputsRoute(async (sandboxId) => (await read(sandboxId)).recipe),
  }
}

function compileBuild(
  { installation, network, credentials: watch }: LayerBuildsDeps,
  { ownerId, environment, registries }: Omit<Build, 'rules' | 'credentials'>,
): Build {
  const all = { ...installation, registries, lists: network() }
  const credentials = watch.get(ownerId, environment.id)
  const rules = compileRules(environment.network, all, credentials.bound)
  return { ownerId, environment, registries, rules, credentials }
}

function createInputsRoute(readRecipe: (sandboxId: string) => Promise<LayerRecipe>): DoorRoute {
  return async ({ sessionId, request, response }) => {
    if (request.method !== 'GET')
      throw new AppError('invalid', 'method_not_allowed', 'The inputs are read.')
    const recipe = await readRecipe(sessionId)
    const files = isCheckout(recipe) ? [] : recipe.files
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ files }))
  }
}

function assignmentOf(recipe: LayerRecipe, variables: Record<string, string>): Assignment {
  if (!isCheckout(recipe)) {
    const script = recipe.environment.setup
    return { kind: 'setup', script, variables, limitMs: SETUP_LIMIT_MS }
  }
  const { name, commit } = recipe
  return { kind: 'checkout', name, commit, limitMs: CHECKOUT_LIMIT_MS }
}

/** Whatever else such a runner says counts for nothing. */
function toLayerReport(
  report: RunnerReport,
  plain: (lines: string[]) => string[],
): Omit<LayerReport, 'n'> {
  if (report.type === 'phase.logged') return { lines: plain(report.lines) }
  if (report.type === 'setup.ended') return { ended: { exitCode: report.exitCode } }
  return {}
}
