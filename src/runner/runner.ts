// The runner put together: journal, channel, an agent that may be started ahead, and once it is told its repository, the
// work. Everything that depends on the place where it runs is handed in, so that it also runs outside of a sandbox.
import type { Logger } from '../lib/logger.ts'
import type {
  CheckoutAssignment,
  RunnerBoot,
  RunnerReport,
  SetupAssignment,
} from '../protocol/runner-frames.ts'
import type { AgentAhead } from './agent/agent-ahead.ts'
import { buildVariables, certificateVariables, type Variables } from './agent/agent-environment.ts'
import type { AgentProgram } from './agent/agent-program.ts'
import { parkedFolder, stateFile } from './agent/agent-start.ts'
import { createParkedAgent } from './agent/parked-agent.ts'
import { createCanUseTool, createQuestions } from './agent/questions.ts'
import { createProcesses } from './agent/stray.ts'
import { type CheckoutLayerDeps, runCheckoutLayer } from './checkout/make-checkout-layer.ts'
import { openChannel } from './reports/channel.ts'
import { openJournal } from './reports/journal.ts'
import { runSetup, type SetupDeps } from './setup-script.ts'
import { openStateFile } from './state-file.ts'
import { type AssignedWork, startWork } from './work.ts'

const END_AGENT_MS = 3_000
export interface RunnerPlace {
  doorSocket: string
  stateFolder: string
  workspace: string
  gitConfigPath: string
  agent: string
  /** How long that may take to start (ms); as long as its phase unless told. */
  agentStartMs?: number
  /** The environment of the runner's own process. */
  inherited: Variables
  transport: Variables
  /** The file with the authorities that the image trusts; null when it has none. */
  certificates: string | null
  /** This program is the only child of process 1 of a sandbox: all that runs there is its concern. */
  ownsProcesses: boolean
  /** An agent that was started before the runner. */
  ahead?: AgentAhead | undefined
  /** Where git fetches from and pushes to; the door unless told. */
  gitSource?: string
  /** The same of an additional repository. */
  additionalSource?: (name: string) => string
  /** What a layer says of the work tree that it holds; its usual place unless told. */
  checkoutLayer?: string
}

export interface Runner {
  /** Interrupts the agent, writes the journal to its end and hangs up. */
  stop(): Promise<void>
}

export async function startRunner(
  boot: RunnerBoot,
  place: RunnerPlace,
  log: Logger,
): Promise<Runner> {
  const journal = await openJournal({
    folder: place.stateFolder,
    onDiskError: (error) => log.error({ err: error }, 'the journal could not be written'),
  })
  const state = openStateFile(stateFile(place.stateFolder), (error) =>
    log.error({ err: error }, 'what the runner has to remember could not be written'),
  )
  const report = (item: RunnerReport) => journal.append(item)
  const processes = createProcesses({ ownsAll: place.ownsProcesses })
  const questions = createQuestions({
    report: (item) => (assigned ? assigned.reportInOrder(item) : report(item)),
    state,
    mode: () => assigned?.wanted().mode ?? 'work',
    now: () => new Date(),
  })
  const inherited = { ...certificateVariables(place.certificates), ...place.inherited }
  const variables = buildVariables(boot, inherited, place.transport)
  const program: AgentProgram = {
    sessionId: boot.sessionId,
    executable: place.agent,
    variables,
    transport: place.transport,
    canUseTool: createCanUseTool(questions, () => assigned?.workingTurnId()),
    processes,
  }
  const { ahead } = place
  const parked = createParkedAgent({ program, folder: parkedFolder(place.stateFolder), ahead, log })
  let assigned: AssignedWork | undefined
  let making: Promise<void> | undefined
  const stopping = new AbortController()

  // Where an agent was started ahead there was none before.
  if (!ahead) await processes.endRun(`${boot.sessionId}/`, await processes.present())
  questions.closeLeftOver()
  const variablesWith = (repository: Variables) => {
    const both = { ...boot, variables: { ...repository, ...boot.variables } }
    return buildVariables(both, inherited, place.transport)
  }
  const deps = { place, program, variablesWith, parked, state, report, journal, questions, log }
  const channel = openChannel({
    socketPath: place.doorSocket,
    journal,
    log,
    onWait: (needsAgent) => {
      const isWanted = needsAgent || boot.agent !== 'needed'
      void (isWanted ? parked.park() : Promise.resolve()).then(() => channel.sendParked())
    },
    onWelcome: ({ generation, assignment, isReplaced }) => {
      if (assignment.kind !== 'work') {
        const layer = { generation, place, variables, report, log }
        making ??= makeLayer(assignment, layer, stopping.signal)
        return
      }
      const sendDelta = (turnId: string, text: string) => channel.sendDelta(turnId, text)
      assigned ??= startWork({ ...boot, ...assignment }, { ...deps, sendDelta })
      assigned.prepare(generation, isReplaced)
    },
    onDirectives: (directives) => assigned?.follow(directives),
  })
  return {
    async stop() {
      parked.close()
      stopping.abort(new Error('the runner stops'))
      await making
      if (assigned) await withinOrLater(assigned.stop(), END_AGENT_MS)
      await journal.flush()
      channel.close()
      await journal.close()
    },
  }
}

/** In a sandbox that becomes a layer. */
function makeLayer(
  assignment: SetupAssignment | CheckoutAssignment,
  deps: Omit<CheckoutLayerDeps & SetupDeps, 'assignment'>,
  signal: AbortSignal,
): Promise<void> {
  return assignment.kind === 'setup'
    ? runSetup({ ...deps, assignment }, signal)
    : runCheckoutLayer({ ...deps, assignment }, signal)
}

async function withinOrLater(work: Promise<unknown>, ms: number): Promise<void> {
  await Promise.race([work, new Promise((resolve) => setTimeout(resolve, ms))])
}
