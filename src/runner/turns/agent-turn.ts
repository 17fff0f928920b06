// One turn of the agent: remembers what the work tree was like, hands the prompt over, reports what comes, starts an agent
// that died again, and at the end commits and pushes what was changed. Exactly one turn at a time.
import { createHash } from 'node:crypto'
import type { SDKMessage } from '@anthropic-ai/claude-agent-sdk/core'
import { orAborted } from '../../lib/deadline.ts'
import type { RunnerReport } from '../../protocol/runner-frames.ts'
import type { Claude } from '../agent/claude.ts'
import {
  deltaOf,
  type ModelError,
  outcomeOf,
  type ResultMessage,
  refusalOf,
  reportsOf,
} from '../agent/claude-messages.ts'
import { createHookReports } from '../agent/hook-reports.ts'
import type { Transcript } from '../agent/transcript.ts'
import { createReportOrder } from '../reports/report-order.ts'
import type { StateFile } from '../state-file.ts'
import type { RunTurn, TurnContext, TurnEnd } from './turn-end.ts'
import type { TurnWork } from './turn-work.ts'
import { createWorkOfTurns } from './work-of-turns.ts'

const DELTA_MS = 40
/** An interrupt that the agent does not answer in this time ends its process. */
const INTERRUPT_MS = 10_000
/** An agent that dies so often in one turn would die again. */
const MOST_DEATHS = 3
const NOT_FINISHED =
  'The work was not committed and pushed to its end; what is in no commit yet is in the sandbox:'

export interface AgentTurnDeps {
  claude: Claude
  work: TurnWork
  state: StateFile
  report: (report: RunnerReport) => void
  conversation: {
    transcript: Transcript
    /** True when a message was reported, also by an earlier run of the runner. */
    hasReported(uuid: string): boolean
  }
  sendDelta: (turnId: string, text: string) => void
  /** Of the work behind a turn: it has ended. */
  onLate: () => void
}

export interface AgentTurns {
  run: RunTurn
  /** A turn begins as soon as the agent runs: what it needs before can be done meanwhile. */
  expect: TurnWork['expect']
  /** To be called with every message of the agent. */
  take(message: SDKMessage): void
  /** To be called when the agent's process ended by itself. */
  lost(words: string): void
  workingTurnId(): string | undefined
  /** Reports behind all that the agent has said so far. */
  reportInOrder(report: RunnerReport): void
}

interface Death {
  kind: 'died'
  reason: 'agent_died' | 'agent_not_started'
  words: string
}
type ConversationEnd = TurnEnd | Death

interface Working {
  id: string
  promptId: string
  error: ModelError | undefined
  interruptedAt: number | undefined
  end: (end: ConversationEnd) => void
}

export function createAgentTurns(deps: AgentTurnDeps): AgentTurns {
  let working: Working | undefined
  const hooks = createHookReports()
  const deltas = createDeltas(deps.sendDelta)
  const { transcript } = deps.conversation
  const order = createReportOrder({ report: deps.report, transcript })
  const work = createWorkOfTurns(deps.work, {
    onLate: deps.onLate,
    wentWrong: (error, turnId) => {
      const text = `${NOT_FINISHED} ${error instanceof Error ? error.message : String(error)}`
      deps.report({ type: 'agent.notice', turnId, kind: 'commit', text })
    },
  })

  /** From a prompt to the end of the turn, or to the death of the agent. */
  const converse = async (turn: AskedTurn, context: TurnContext, prompt: Prompt) => {
    const failure = await startAgent(deps.claude, context)
    if (context.interrupted.aborted || context.stopped.aborted)
      return { kind: 'interrupted' } as const
    if (failure) return failure
    const { promise: ended, resolve: end } = Promise.withResolvers<ConversationEnd>()
    working = { id: turn.id, promptId: prompt.id, error: undefined, interruptedAt: undefined, end }
    const onInterrupt = () => void interrupt(deps.claude, working)
    context.interrupted.addEventListener('abort', onInterrupt, { once: true })
    const onStop = () => end({ kind: 'interrupted' })
    context.stopped.addEventListener('abort', onStop, { once: true })
    try {
      if (!deps.claude.prompt(prompt.text, prompt.id)) end(deathBy('agent_died', ''))
      const how = await ended
      if (how.kind === 'died') await order.settleAfterDeath()
      else if (!context.stopped.aborted) await order.settle()
      return how
    } finally {
      context.interrupted.removeEventListener('abort', onInterrupt)
      context.stopped.removeEventListener('abort', onStop)
      working = undefined
      deltas.drop()
    }
  }
  return {
    run: (turn, context) =>
      work.run(turn, context, () => converseToEnd(deps, converse, { turn, context })),
    expect: deps.work.expect,
    take(message) {
      order.add(null, hooks.of(message, working?.id ?? null))
      if (!working) {
        work.take(message)
        return takeOutside(deps, message)
      }
      deltas.push(working.id, deltaOf(message))
      if (message.type === 'assistant') {
        working.error = message.error
        deltas.drop()
      }
      order.add(writtenAs(message), reportsOf(message, working.id))
      const refusal = refusalOf(message)
      if (refusal) {
        working.end({ kind: 'failed', ...refusal })
        void deps.claude.end()
        return
      }
      if (message.type === 'result' && isResultOf(message, working.promptId)) {
        const outcome = outcomeOf(message, working.error, working.interruptedAt !== undefined)
        working.end(outcome.kind === 'completed' ? { ...outcome, exitCode: null } : outcome)
      }
    },
    lost(words) {
      if (working?.interruptedAt !== undefined) working.end({ kind: 'interrupted' })
      else working?.end(deathBy('agent_died', words))
    },
    workingTurnId: () => working?.id,
    reportInOrder: (report) => order.add(null, [report]),
  }
}

type AskedTurn = { id: string; text: string }
interface Prompt {
  id: string
  text: string
}
type Converse = (turn: AskedTurn, context: TurnContext, prompt: Prompt) => Promise<ConversationEnd>

/** It may die while it starts as well. Where nobody waits for it any more it goes on starting, for the next prompt. */
async function startAgent(
  claude: Claude,
  { interrupted, stopped }: TurnContext,
): Promise<Death | undefined> {
  try {
    await orAborted(claude.startForPrompt(), AbortSignal.any([interrupted, stopped]))
    return undefined
  } catch (error) {
    return deathBy('agent_not_started', error instanceof Error ? error.message : String(error))
  }
}

function deathBy(reason: Death['reason'], words: string): Death {
  return { kind: 'died', reason, words: words || 'it said nothing' }
}

/** An agent that died is started again and goes on with its conversation; its prompt is not asked twice. */
async function converseToEnd(
  deps: AgentTurnDeps,
  converse: Converse,
  { turn, context }: { turn: AskedTurn; context: TurnContext },
): Promise<TurnEnd> {
  const { interrupted, stopped } = context
  let why = context.isResumed ? restartOf(deps.state) : undefined
  for (let deaths = 1; ; deaths++) {
    const end = await converse(turn, context, await promptFor(deps, turn, why))
    if (stopped.aborted) return { kind: 'interrupted' }
    deps.state.set({ replacedAt: null })
    const isLast = end.kind !== 'died' || interrupted.aborted || deaths === MOST_DEATHS
    if (isLast && (why || end.kind === 'died')) await reportMissed(deps, turn.id)
    if (end.kind !== 'died') return end
    if (interrupted.aborted) return { kind: 'interrupted' }
    if (isLast) {
      const message = `The agent ended ${deaths} times in this turn. The last time: ${end.words}`
      return { kind: 'failed', reason: end.reason, message }
    }
    why = deathOf(end.words)
  }
}

interface Reason {
  /** For the user. */
  notice: string
  /** For the agent. */
  prompt: string
}

/** The turn's own prompt, or when the agent knows that already, one to go on. */
async function promptFor(
  deps: AgentTurnDeps,
  turn: AskedTurn,
  why: Reason | undefined,
): Promise<Prompt> {
  const own = { id: uuidOf(turn.id), text: turn.text }
  if (!why || !(await deps.claude.remembers(own.id))) return own
  await reportMissed(deps, turn.id)
  deps.report({ type: 'agent.notice', turnId: turn.id, kind: 'resumed', text: why.notice })
  return { id: uuidOf(turn.id, Date.now()), text: why.prompt }
}

function deathOf(words: string): Reason {
  return {
    notice: `The agent ended unexpectedly (${words}). It is started again and goes on with what it knows.`,
    prompt:
      'You were stopped in the middle of your work; commands that were running have ended. Look at what is there and go on with the task.',
  }
}

/** Why a turn is taken up again at the start of the runner. */
function restartOf(state: StateFile): Reason {
  const { replacedAt } = state.get()
  if (replacedAt === null) {
    return {
      notice: 'The sandbox was restarted; the agent goes on with what it knows.',
      prompt:
        'The sandbox was restarted while you were working; commands that were running have ended. Look at what is there and go on with the task.',
    }
  }
  return {
    notice: `The agent goes on with what it knew at ${replacedAt}.`,
    prompt: `The sandbox was lost while you were working. In the new one the files of the repository and this conversation are as they were at ${replacedAt} or a little later; what was installed or written elsewhere is gone, and commands that were running have ended. Look at what is there and go on with the task.`,
  }
}

/** What the agent wrote down and did not come to say before it died. */
async function reportMissed(
  { conversation, state, report }: AgentTurnDeps,
  turnId: string,
): Promise<void> {
  const { transcriptFrom } = state.get()
  const messages = await conversation.transcript.messagesAfter(uuidOf(turnId), transcriptFrom)
  for (const message of messages) {
    if (conversation.hasReported(message.uuid ?? '')) continue
    for (const item of reportsOf(message, turnId)) report(item)
  }
}

/** Under which uuid the agent writes a message down; null for what is no part of the conversation. */
function writtenAs(message: SDKMessage): string | null {
  return message.type === 'assistant' || message.type === 'user' ? (message.uuid ?? null) : null
}

/** The uuid of a turn's prompt in the conversation: the same after a restart, so that it is never asked twice. */
function uuidOf(turnId: string, attempt = 0): string {
  const hex = createHash('sha256').update(`${turnId}/${attempt}`).digest('hex')
  const variant = '89ab'[Number.parseInt(hex[16] ?? '0', 16) & 3]
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

async function interrupt(claude: Claude, working: Working | undefined): Promise<void> {
  if (!working || working.interruptedAt !== undefined) return
  working.interruptedAt = performance.now()
  const timer = setTimeout(() => {
    working.end({ kind: 'interrupted' })
    void claude.end()
  }, INTERRUPT_MS)
  const { end } = working
  working.end = (ended) => {
    clearTimeout(timer)
    end(ended)
  }
  // An agent that is just ending cannot be asked: its death or the limit above ends the turn.
  await claude.interrupt().catch(() => undefined)
}

/** Work that the agent goes on with by itself after a turn (a background task that ended) has results of its own. */
function isResultOf(result: ResultMessage, promptId: string): boolean {
  const answered = result.user_message_uuids ?? []
  if (answered.length > 0) return answered.includes(promptId)
  return result.origin === undefined || result.origin.kind === 'human'
}

function takeOutside({ report }: AgentTurnDeps, message: SDKMessage): void {
  for (const item of reportsOf(message, '')) {
    if (item.type === 'assistant.text')
      report({ type: 'agent.notice', turnId: null, kind: 'background', text: item.text })
  }
}

/** Puts pieces of live text together, so that they make few frames. */
function createDeltas(send: (turnId: string, text: string) => void) {
  let held = ''
  let timer: NodeJS.Timeout | undefined
  const drop = () => {
    clearTimeout(timer)
    timer = undefined
    held = ''
  }
  return {
    drop,
    push(turnId: string, text: string) {
      if (text === '') return
      held += text
      timer ??= setTimeout(() => {
        const together = held
        drop()
        send(turnId, together)
      }, DELTA_MS)
    },
  }
}
