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
import { type CheckoutDeps, checkoutFolder, makeCheckout, savedPlaces } from './checkout.ts'
import { type Claude, createClaude } from './claude.ts'
import { createCommandTurn } from './command-turn.ts'
import { type Journal, openJournal } from './journal.ts'
import { createCanUseTool, createQuestions, type Questions } from './questions.ts'
import { createSaver, type Saver } from './saver.ts'
import { openStateFile, type StateFile } from './state-file.ts'
import { createProcesses, type Processes } from './stray.ts'
import { createTranscript } from './transcript.ts'
import type { RunTurn } from './turn-end.ts'
import { createTurns, endedTurns } from './turns.ts'
import {
  createPreparation,
  type PhaseWork,
  prepareWorkspace,
  type WorkspaceDeps,
} from './workspace.ts'

const END_AGENT_MS = 3_000
/** How often a running turn's work is saved; a variable of the environment changes it. */
const SAVE_EVERY_S = 60
const SAVE_VARIABLE = 'ERRAND_SAVE_EVERY_S'

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
  /** This program is the only child of process 1 of a sandbox: all that runs there is its concern. */
  ownsProcesses: boolean
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
  const processes = createProcesses({ ownsAll: place.ownsProcesses })
  const reportInOrder = (item: RunnerReport) => work.reportInOrder(item)
  const questions = createQuestions({ report: reportInOrder, state, now: () => new Date() })
  let directives: Directives | undefined
  let isReplaced = false

  const work = assembleWork(setup, place, {
    state,
    report,
    journal,
    processes,
    questions,
    isReplaced: () => isReplaced,
    wanted: () => ({ mode: directives?.mode ?? 'work', model: directives?.model ?? null }),
    sendDelta: (turnId, text) => channel.sendDelta(turnId, text),
    log,
  })
  const turns = createTurns({
    report,
    state,
    run: work.run,
    onEnd: work.saver.save,
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

  await processes.endRun(`${setup.sessionId}/`, await processes.present())
  questions.closeLeftOver()
  const channel = openChannel({
    socketPath: place.doorSocket,
    journal,
    log,
    onWelcome: (generation, isNewHere) => {
      isReplaced ||= isNewHere
      preparation.want(generation)
    },
    onDirectives: follow,
  })
  return {
    async stop() {
      stopping.abort(new Error('the runner stops'))
      const ended = Promise.allSettled([turns.stop(), work.claude.end(), work.saver.stop()])
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
  journal: Journal
  processes: Processes
  questions: Questions
  /** Another sandbox of this session has been here before. */
  isReplaced: () => boolean
  wanted: () => { mode: Mode; model: string | null }
  sendDelta: (turnId: string, text: string) => void
  log: Logger
}

/** The agent, the two kinds of turns, what is saved of them, and the phases that they need first. */
function assembleWork(setup: RunnerSetup, place: RunnerPlace, deps: WorkDeps) {
  const { state, report, questions, wanted, sendDelta, log } = deps
  const { gitSource: source, transport } = place
  const inherited = { ...certificateVariables(place.certificates), ...place.inherited }
  const variables = buildVariables(setup, inherited, transport)
  const checkout: CheckoutDeps = { setup, ...place, variables, state, source }
  const folder = checkoutFolder(checkout)
  const { branch, commit: baseCommit } = setup.repository
  const everyMs = 1_000 * (Number(variables[SAVE_VARIABLE]) || SAVE_EVERY_S)
  const saver = createSaver({ places: savedPlaces(checkout), state, report, log, everyMs })

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
    processes: deps.processes,
    canUseTool: createCanUseTool(questions, () => agentTurns.workingTurnId()),
    wanted,
    events: {
      message: (message) => agentTurns.take(message),
      died: (words) => agentTurns.lost(words),
      failed: (err) => log.error({ err }, 'a message of the agent was left out'),
    },
  })
  const transcript = createTranscript(variables, () => state.get().conversationId)
  const agentTurns = createAgentTurns({
    claude,
    finish: { folder, branch, baseCommit, variables },
    state,
    report,
    conversation: { transcript, hasReported: deps.journal.hasReported },
    sendDelta,
  })
  const phases: WorkspaceDeps['phases'] = [
    { name: 'checkout', work: checkoutPhase(checkout, deps) },
    // The variables are ready already; setup scripts have their place here.
    { name: 'environment', work: async () => undefined },
    { name: 'agent', work: () => claude.start() },
  ]
  const command = createCommandTurn({ folder, variables, state, report, onStart: saver.save })
  return {
    claude,
    saver,
    phases,
    run: { agent: savedWhile(saver, agentTurns.run), command: savedWhile(saver, command) },
    reportInOrder: agentTurns.reportInOrder,
  }
}

/** A sandbox that takes the place of a lost one says what it goes on from. */
function checkoutPhase(checkout: CheckoutDeps, deps: WorkDeps): PhaseWork {
  return async (logged, signal) => {
    const made = await makeCheckout(checkout, logged, signal)
    if (made === 'kept') return
    if (made === 'made' && !deps.isReplaced()) return
    const text =
      made === 'made'
        ? 'The sandbox was lost and replaced. Nothing of it had been saved: this one starts from what was pushed, with a new conversation.'
        : made.text
    logged([text])
    deps.report({ type: 'agent.notice', turnId: null, kind: 'sandbox_replaced', text })
    deps.questions.closeLeftOver()
  }
}

function savedWhile(saver: Saver, run: RunTurn): RunTurn {
  return async (turn, context) => {
    saver.watch(true)
    try {
      return await run(turn, context)
    } finally {
      saver.watch(false)
    }
  }
}
