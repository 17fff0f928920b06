// The gateway's part in the making of layers: the network rules of a sandbox that becomes one, what its runner is told and
// what it reports, and the files that its script is given. There is no session, no repository and no model.
import type { DoorRoute } from './door/listener.ts'
import type { RunnerEvents } from './door/runner-channel.ts'
import { compileRules, type EgressRules } from './egress/policy.ts'
import type { Registry } from './egress/registry-files.ts'
import type { SessionWatchDeps } from './gateway-sessions.ts'
import { registriesOf } from './image/registries.ts'
import type { Environment, TrafficLimits } from './protocol/environment.ts'
import { AppError } from './protocol/errors.ts'
import { joinLimits } from './protocol/installation-network.ts'
import { RUNNER_PROTOCOL, type RunnerReport } from './protocol/runner-frames.ts'
import { SETUP_LIMIT_MS } from './sessions/layers.ts'
import type { LayerReport, LayerStore } from './store/layers.ts'

export interface LayerBuilds {
  /** Reads what is known of it; false when no layer is being made of this sandbox. */
  follow(sandboxId: string): Promise<boolean>
  rules(sandboxId: string): EgressRules | undefined
  traffic(sandboxId: string): TrafficLimits | undefined
  /** What the owner has set for all of them has changed. */
  recompile(): void
  forget(sandboxId: string): void
  events(sandboxId: string): RunnerEvents
  inputs: DoorRoute
}

export interface LayerBuildsDeps
  extends Pick<SessionWatchDeps, 'installation' | 'network' | 'onRules'> {
  layers: Pick<LayerStore, 'findBuilding' | 'report'>
}

interface Build {
  environment: Environment
  registries: Registry[]
  rules: EgressRules
}

/** Nothing is prepared twice in such a sandbox. */
const GENERATION = 1

export function createLayerBuilds(deps: LayerBuildsDeps): LayerBuilds {
  const { layers, installation, network, onRules } = deps
  const known = new Map<string, Build>()
  const compile = ({ environment, registries }: Omit<Build, 'rules'>): Build => {
    const all = { ...installation, registries, lists: network() }
    return { environment, registries, rules: compileRules(environment.network, all) }
  }
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
      const { environment, reach } = layer.recipe
      const registries = await registriesOf(reach ?? environment.image, installation)
      known.set(sandboxId, compile({ environment, registries }))
      return true
    },
    rules: (sandboxId) => known.get(sandboxId)?.rules,
    traffic: (sandboxId) => {
      const build = known.get(sandboxId)
      return build && joinLimits(build.environment.traffic, network())
    },
    recompile: () => {
      for (const [sandboxId, build] of known) {
        const next = compile(build)
        known.set(sandboxId, next)
        onRules(sandboxId, next.rules)
      }
    },
    forget: (sandboxId) => {
      known.delete(sandboxId)
    },
    events: (sandboxId) => ({
      onHello: async ({ protocol }) => {
        if (protocol !== RUNNER_PROTOCOL) return { refused: 'protocol_not_supported' }
        const { layer, recipe } = await read(sandboxId)
        const script = recipe.environment.setup
        const assignment = { kind: 'setup' as const, script, limitMs: SETUP_LIMIT_MS }
        return { generation: GENERATION, ackedN: layer.ackedN, assignment }
      },
      onParked: () => undefined,
      onConnected: () => undefined,
      onReport: async ({ n, report }) => {
        await layers.report(sandboxId, { n, ...toLayerReport(report) })
        return undefined
      },
      onDelta: () => undefined,
      onDisconnected: () => undefined,
    }),
    inputs: async ({ sessionId, request, response }) => {
      if (request.method !== 'GET')
        throw new AppError('invalid', 'method_not_allowed', 'The inputs are read.')
      const { files } = (await read(sessionId)).recipe
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ files }))
    },
  }
}

/** Whatever else such a runner says counts for nothing. */
function toLayerReport(report: RunnerReport): Omit<LayerReport, 'n'> {
  if (report.type === 'phase.logged') return { lines: report.lines }
  if (report.type === 'setup.ended') return { ended: { exitCode: report.exitCode } }
  return {}
}
