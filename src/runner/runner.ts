// The runner put together: journal, channel, preparation, agent and turns. Everything that depends on the place where it
// runs is handed in, so that it also runs outside of a sandbox.
import { join } from 'node:path'
import type { Logger } from '../lib/logger.ts'
import type { Directives, RunnerReport, RunnerSetup } from '../protocol/runner-frames.ts'
import type { Mode } from '../protocol/session.ts'
import {
  buildVariables,
  certificateVariables,
  describeSandbox,
  type Variables,
} from './agent-environment.ts'
import { createAgentTurns } from './agent-turn.ts'
import { openChannel } from './channel.ts'
import { type CheckoutDeps, checkoutFolder, makeCheckout } from './checkout.ts'
import { type Claude, createClaude } from './claude.ts'
import { createCommandTurn } from './command-turn.ts'
import { openJournal } from './journal.ts'
import { createCanUseTool, createQuestions, type Questions } from './questions.ts'
import { openStateFile, type StateFile } from './state-file.ts'
import { endStray } from './stray.ts'
import { createTurns, endedTurns } from './turns.ts'
import { createPreparation, prepareWorkspace, type WorkspaceDeps } from './workspace.ts'

const END_AGENT_MS = 3_000

export interface RunnerPlace {
  doorSocket: string
  stateFolder: string
  workspace: string
  gitConfigPath: string
  agent: string
  /** The environment of the runner's own process. */
  inherited: Variables
  transport: Variables
  /** The file with the authorities that the image trusts; null when it has none. */
  certificates: string | null
  /** Where git fetches from and pushes to; the door unless told. */
  gitSource?: string
}

export interface Runner {
  /** Interrupts the agent, writes the journal to its end and hangs up. */
  stop(): Promise<void>
}

export async function startRunner(
  setup: RunnerSetup,
  place: RunnerPlace,
  log: Logger,
): Promise<Runner> {
  const journal = await openJournal({
    folder: place.stateFolder,
    onDiskError: (error) => log.error({ err: error }, 'the journal could not be written'),
  })
  const state = openStateFile(join(place.stateFolder, 'state.json'))
  const report = (item: RunnerReport) => journal.append(item)
  const stopping = new AbortController()
  const questions = createQuestions({ report, state, now: () => new Date() })
  let directives: Directives | undefined

  const work = assembleWork(setup, place, {
    state,
    report,
    questions,
    wanted: () => ({ mode: directives?.mode ?? 'work', model: directives?.model ?? null }),
    sendDelta: (turnId, text) => channel.sendDelta(turnId, text),
    log,
  })
  const turns = createTurns({
    report,
    state,
    run: work.run,
    ended: endedTurns(journal.pending().map((entry) => entry.report)),
  })
  const preparation = createPreparation(
    (generation) => prepareWorkspace({ report, phases: work.phases }, generation, stopping.signal),
    () => turns.reconcile(directives?.turn ?? null),
  )
  const follow = (next: Directives) => {
    const hasChanged = directives?.mode !== next.mode || directives.model !== next.model
    directives = next
    questions.answer(next.answers)
    if (!preparation.isReady()) return
    if (hasChanged)
      work.claude.adjust().catch((error) => log.warn({ err: error }, 'the agent did not change'))
    turns.reconcile(next.turn)
  }

  await endStray(`${setup.sessionId}/`)
  questions.closeLeftOver()
  const channel = openChannel({
    socketPath: place.doorSocket,
    journal,
    log,
    onWelcome: preparation.want,
    onDirectives: follow,
  })
  return {
    async stop() {
      stopping.abort(new Error('the runner stops'))
      const ended = Promise.allSettled([turns.stop(), work.claude.end()])
      await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, END_AGENT_MS))])
      await journal.flush()
      channel.close()
      await journal.close()
    },
  }
}

interface WorkDeps {
  state: StateFile
  report: (report: RunnerReport) => void
  questions: Questions
  wanted: () => { mode: Mode; model: string | null }
  sendDelta: (turnId: string, text: string) => void
  log: Logger
}

/** The agent, the two kinds of turns, and the phases that they need first. */
function assembleWork(setup: RunnerSetup, place: RunnerPlace, deps: WorkDeps) {
  const { state, report, questions, wanted, sendDelta, log } = deps
  const { workspace, gitConfigPath, gitSource: source, transport } = place
  const inherited = { ...certificateVariables(place.certificates), ...place.inherited }
  const variables = buildVariables(setup, inherited, transport)
  const checkout: CheckoutDeps = { setup, workspace, gitConfigPath, variables, state, source }
  const folder = checkoutFolder(checkout)
  const { branch, commit: baseCommit } = setup.repository

  const claude: Claude = createClaude({
    program: {
      sessionId: setup.sessionId,
      executable: place.agent,
      cwd: folder,
      variables,
      transport,
      appendix: describeSandbox(setup),
    },
    state,
    canUseTool: createCanUseTool(questions, () => agentTurns.workingTurnId()),
    wanted,
    events: {
      message: (message) => agentTurns.take(message),
      died: (words) => agentTurns.lost(words),
      failed: (err) => log.error({ err }, 'a message of the agent was left out'),
    },
  })
  const finish = { folder, branch, baseCommit, variables }
  const agentTurns = createAgentTurns({ claude, finish, state, report, sendDelta })
  const phases: WorkspaceDeps['phases'] = [
    { name: 'checkout', work: (logged, signal) => makeCheckout(checkout, logged, signal) },
    // The variables are ready already; setup scripts have their place here.
    { name: 'environment', work: async () => undefined },
    { name: 'agent', work: () => claude.start() },
  ]
  const command = createCommandTurn({ folder, variables, state, report })
  return { claude, phases, run: { agent: agentTurns.run, command } }
}
