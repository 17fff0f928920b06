// What a runner does once it knows its repository: prepares the workspace, then works on the turns that are wanted.
import { join } from 'node:path'
import type { Logger } from '../lib/logger.ts'
import type { Directives, RunnerReport, RunnerSetup } from '../protocol/runner-frames.ts'
import type { Mode } from '../protocol/session.ts'
import { describeSandbox, type Variables } from './agent/agent-environment.ts'
import type { Wanted } from './agent/agent-mode.ts'
import type { AgentProgram } from './agent/agent-program.ts'
import { type Claude, createClaude } from './agent/claude.ts'
import type { ParkedAgent } from './agent/parked-agent.ts'
import type { Questions } from './agent/questions.ts'
import { hasClaudeSettings } from './agent/repository-settings.ts'
import { createTranscript } from './agent/transcript.ts'
import { additionalPlaces, makeAdditionalCheckouts } from './checkout/additional-checkouts.ts'
import {
  type Checkout,
  type CheckoutDeps,
  checkoutFolder,
  makeCheckout,
  savedPlaces,
} from './checkout/checkout.ts'
import { throughDoor } from './checkout/git-config.ts'
import type { Journal } from './reports/journal.ts'
import type { RunnerPlace } from './runner.ts'
import { createSaver, type Saver } from './saving/saver.ts'
import type { StateFile } from './state-file.ts'
import { type AgentTurns, createAgentTurns } from './turns/agent-turn.ts'
import { createCommandTurn } from './turns/command-turn.ts'
import type { RunTurn } from './turns/turn-end.ts'
import { createTurnWork } from './turns/turn-work.ts'
import { createTurns, endedTurns } from './turns/turns.ts'
import {
  createPreparation,
  type PhaseWork,
  prepareWorkspace,
  type WorkspaceDeps,
} from './workspace.ts'

/** How often a running turn's work is saved; a variable of the environment changes it. */
const SAVE_EVERY_S = 60
const SAVE_VARIABLE = 'ERRAND_SAVE_EVERY_S'

export interface WorkDeps {
  place: RunnerPlace
  program: AgentProgram
  /** The variables of agent and commands with what the repository asks for. */
  variablesWith: (repository: Variables) => Variables
  parked: ParkedAgent
  state: StateFile
  report: (report: RunnerReport) => void
  journal: Journal
  questions: Questions
  sendDelta: (turnId: string, text: string) => void
  log: Logger
}

export interface AssignedWork {
  /** Prepares once for each generation. `isReplaced`: another sandbox of this session has been here before. */
  prepare(generation: number, isReplaced: boolean): void
  follow(directives: Directives): void
  wanted(): Wanted
  /** Reports behind all that the agent has said so far. */
  reportInOrder(report: RunnerReport): void
  workingTurnId(): string | undefined
  /** Interrupts the agent and what it does. */
  stop(): Promise<void>
}

export function startWork(setup: RunnerSetup, deps: WorkDeps): AssignedWork {
  const { state, report, journal, questions, log } = deps
  const stopping = new AbortController()
  let directives: Directives | undefined
  let isReplaced = false
  let isFirst = true
  const wanted = () => ({ mode: wantedMode(directives, state), model: directives?.model ?? null })
  const parts = assembleParts(setup, deps, {
    wanted,
    isReplaced: () => isReplaced,
    isFirst: () => isFirst,
    turn: () => directives?.turn ?? null,
    stopped: stopping.signal,
  })
  const { claude, saver } = parts
  const turns = createTurns({
    report,
    state,
    run: parts.run,
    onEnd: saver.save,
    ended: endedTurns(journal.pending().map((entry) => entry.report)),
  })
  const preparation = createPreparation(
    (generation) => prepareWorkspace({ report, phases: parts.phases }, generation, stopping.signal),
    () => turns.reconcile(directives?.turn ?? null),
  )
  return {
    prepare(generation, isNewHere) {
      isReplaced ||= isNewHere
      isFirst = generation === 1 && !isReplaced
      preparation.want(generation)
    },
    follow(next) {
      const hasChanged = directives?.mode !== next.mode || directives.model !== next.model
      if (next.mode !== 'plan' && state.get().planApprovedIn) state.set({ planApprovedIn: null })
      directives = next
      questions.answer(next.answers)
      if (!preparation.isReady()) return
      if (hasChanged)
        claude.adjust().catch((error) => log.warn({ err: error }, 'the agent did not change'))
      turns.reconcile(next.turn)
    },
    wanted,
    reportInOrder: parts.reportInOrder,
    workingTurnId: parts.workingTurnId,
    async stop() {
      stopping.abort(new Error('the runner stops'))
      await Promise.allSettled([turns.stop(), claude.end(), saver.stop()])
    },
  }
}

/** A plan that was approved is worked on to the end of its turn. */
function wantedMode(directives: Directives | undefined, state: StateFile): Mode {
  const { mode = 'work', turn } = directives ?? {}
  const isApproved = turn && turn.id === state.get().planApprovedIn
  return mode === 'plan' && isApproved ? 'work' : mode
}

interface Wishes {
  wanted: () => Wanted
  isReplaced: () => boolean
  isFirst: () => boolean
  turn: () => Directives['turn']
  stopped: AbortSignal
}

/** The agent, the two kinds of turns, what is saved of them, and the phases that they need first. */
function assembleParts(setup: RunnerSetup, deps: WorkDeps, wishes: Wishes) {
  const { place, state, report, sendDelta, log } = deps
  const program = programFor(setup, deps)
  // The variables of one that was started ahead are those of then.
  if (program !== deps.program) deps.parked.close()
  const { variables } = program
  const checkout: CheckoutDeps = { setup, ...place, variables, state, source: place.gitSource }
  const folder = checkoutFolder(checkout)
  const everyMs = 1_000 * (Number(variables[SAVE_VARIABLE]) || SAVE_EVERY_S)
  const additional = additionalPlaces(checkout).map(({ repository, places }) => {
    return { name: repository.name, folder: places.folder, repository, places }
  })
  const pushed = additional.filter(({ repository }) => repository.access === 'write')
  const places = savedPlaces(checkout)
  const saver = createSaver({ places, additional: pushed, state, report, log, everyMs })

  const plugins = join(place.stateFolder, 'plugins')
  const claude: Claude = createClaude({
    program,
    place: { cwd: folder, appendix: describeSandbox(setup, additional), additional, plugins },
    parked: deps.parked,
    state,
    wanted: wishes.wanted,
    events: {
      message: (message) => agentTurns.take(message),
      settingsRead: (notices) => tellSettings(notices, deps),
      died: (words) => agentTurns.lost(words),
      failed: (err) => log.error({ err }, 'a message of the agent was left out'),
    },
    startMs: place.agentStartMs,
    log,
  })
  const transcript = createTranscript(variables, () => state.get().conversationId)
  const agentTurns = createAgentTurns({
    claude,
    work: createTurnWork({
      main: {
        folder,
        ...branchOf(setup.repository),
        variables: throughDoor(variables, { url: setup.repository.url, source: places.source }),
      },
      additional: pushed.map(({ name, repository, places: its }) => {
        const inside = throughDoor(variables, { url: repository.url, source: its.source })
        return {
          name,
          checkout: { folder: its.folder, ...branchOf(repository), variables: inside },
        }
      }),
      state,
      report,
    }),
    state,
    report,
    conversation: { transcript, hasReported: deps.journal.hasReported },
    sendDelta,
    onLate: saver.save,
  })
  const folders = [folder, ...additional.map((one) => one.folder)]
  const hasSettings = () => hasClaudeSettings(folders, variables)
  const command = createCommandTurn({ folder, variables, state, report, onStart: saver.save })
  return {
    claude,
    saver,
    phases: phasesOf(checkout, deps, { ...wishes, agentTurns, claude, hasSettings }),
    run: { agent: savedWhile(saver, agentTurns.run), command: savedWhile(saver, command) },
    reportInOrder: agentTurns.reportInOrder,
    workingTurnId: agentTurns.workingTurnId,
  }
}

/** What the checkout has made says how much there is to be seen before the first turn. */
function phasesOf(
  checkout: CheckoutDeps,
  deps: WorkDeps,
  parts: Wishes & { agentTurns: AgentTurns; claude: Claude; hasSettings: () => boolean },
): WorkspaceDeps['phases'] {
  const { turn: wanted, stopped, agentTurns, claude } = parts
  let isUntouched = false
  const onMade = (made: Checkout) => {
    isUntouched = made === 'taken'
  }
  const startAgent = async () => {
    const turn = wanted()
    const id = turn?.kind === 'agent' ? turn.id : null
    agentTurns.expect(id, { isUntouched, stopped })
    isUntouched = false
    // Its first prompt starts one.
    if (turn?.kind === 'command' && !parts.hasSettings()) return 'done' as const
    await claude.start()
    return 'done' as const
  }
  return [
    { name: 'checkout', work: checkoutPhase(checkout, deps, { ...parts, onMade }) },
    { name: 'agent', work: startAgent },
  ]
}

function branchOf({ branch, commit }: { branch: string; commit: string }) {
  return { branch, baseCommit: commit }
}

/** With the variables of the repository, below those of the environment. */
function programFor(
  { repositoryVariables }: RunnerSetup,
  { program, variablesWith }: WorkDeps,
): AgentProgram {
  if (!repositoryVariables || Object.keys(repositoryVariables).length === 0) return program
  return { ...program, variables: variablesWith(repositoryVariables) }
}

/** Once for each change, also over restarts. */
function tellSettings(
  notices: string[],
  { state, report }: Pick<WorkDeps, 'state' | 'report'>,
): void {
  const told = notices.join('\n')
  if (state.get().settingsTold === told) return
  state.set({ settingsTold: told })
  for (const text of notices)
    report({ type: 'agent.notice', turnId: null, kind: 'settings_ignored', text })
}

/** A sandbox that takes the place of a lost one says what it goes on from. */
function checkoutPhase(
  checkout: CheckoutDeps,
  deps: Pick<WorkDeps, 'report' | 'questions'>,
  { isReplaced, isFirst, onMade }: Wishes & { onMade: (made: Checkout) => void },
): PhaseWork {
  return async (logged, signal) => {
    const request = { ...checkout, isFirst: isFirst() }
    const made = await makeCheckout(request, logged, signal)
    onMade(made)
    const others = await makeAdditionalCheckouts(request, logged, signal)
    if (made === 'kept') return others.isKept ? 'kept' : 'done'
    const isNew = made === 'made' || made === 'taken'
    if (isNew && !isReplaced()) return 'done'
    const main = isNew
      ? 'The sandbox was lost and replaced. Nothing of it had been saved: this one starts from what was pushed, with a new conversation.'
      : made.text
    const text = [main, ...others.told].join('\n')
    logged([text])
    deps.report({ type: 'agent.notice', turnId: null, kind: 'sandbox_replaced', text })
    deps.questions.closeLeftOver()
    return 'done'
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
