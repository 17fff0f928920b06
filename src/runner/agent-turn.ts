// One turn of the agent: remembers what the work tree was like, hands the prompt over, reports what comes, and at the end
// commits and pushes what was changed. Exactly one turn at a time.
import { createHash } from 'node:crypto'
import type { SDKMessage } from '@anthropic-ai/claude-agent-sdk'
import { withDeadline } from '../lib/deadline.ts'
import type { RunnerReport } from '../protocol/runner-frames.ts'
import type { Claude } from './claude.ts'
import {
  deltaOf,
  type ModelError,
  outcomeOf,
  type ResultMessage,
  reportsOf,
} from './claude-messages.ts'
import { type FinishDeps, finishWork, type Snapshot, takeSnapshot } from './finish-work.ts'
import type { StateFile } from './state-file.ts'
import type { RunTurn, TurnContext, TurnEnd } from './turn-end.ts'

const DELTA_MS = 40
/** An interrupt that the agent does not answer in this time ends its process. */
const INTERRUPT_MS = 10_000
const FINISH_MS = 180_000
const CONTINUE =
  'The sandbox was restarted while you were working; commands that were running have ended. Look at what is there and go on with the task.'

export interface AgentTurnDeps {
  claude: Claude
  finish: FinishDeps
  state: StateFile
  report: (report: RunnerReport) => void
  sendDelta: (turnId: string, text: string) => void
}

export interface AgentTurns {
  run: RunTurn
  /** To be called with every message of the agent. */
  take(message: SDKMessage): void
  /** To be called when the agent's process ended by itself. */
  lost(words: string): void
  workingTurnId(): string | undefined
}

interface Working {
  id: string
  promptId: string
  error: ModelError | undefined
  interruptedAt: number | undefined
  end: (end: TurnEnd) => void
}

export function createAgentTurns(deps: AgentTurnDeps): AgentTurns {
  let working: Working | undefined
  const deltas = createDeltas(deps.sendDelta)

  const converse = async (turn: { id: string; text: string }, context: TurnContext) => {
    const isKnown = context.isResumed && (await deps.claude.remembers(uuidOf(turn.id)))
    const promptId = isKnown ? uuidOf(turn.id, Date.now()) : uuidOf(turn.id)
    if (isKnown) {
      const text = 'The sandbox was restarted; the agent goes on with what it knows.'
      deps.report({ type: 'agent.notice', turnId: turn.id, kind: 'resumed', text })
    }
    await deps.claude.start()
    await deps.claude.adjust()
    if (context.interrupted.aborted || context.stopped.aborted)
      return { kind: 'interrupted' } as const
    const ended = new Promise<TurnEnd>((resolve) => {
      working = { id: turn.id, promptId, error: undefined, interruptedAt: undefined, end: resolve }
    })
    const onInterrupt = () => void interrupt(deps.claude, working)
    context.interrupted.addEventListener('abort', onInterrupt, { once: true })
    const onStop = () => working?.end({ kind: 'interrupted' })
    context.stopped.addEventListener('abort', onStop, { once: true })
    try {
      deps.claude.prompt(isKnown ? CONTINUE : turn.text, promptId)
      return await ended
    } finally {
      context.interrupted.removeEventListener('abort', onInterrupt)
      context.stopped.removeEventListener('abort', onStop)
      working = undefined
      deltas.drop()
    }
  }
  return {
    run: async (turn, context) => {
      const before = await beforeTurn(deps, turn.id, context)
      deps.state.set({ turn: { id: turn.id, before } })
      const end = await converse(turn, context).catch(startFailure)
      if (!context.stopped.aborted) await finishTurn(deps, turn, before, context.stopped)
      return end
    },
    take(message) {
      if (!working) return takeOutside(deps, message)
      deltas.push(working.id, deltaOf(message))
      if (message.type === 'assistant') {
        working.error = message.error
        deltas.drop()
      }
      for (const report of reportsOf(message, working.id)) deps.report(report)
      if (message.type === 'result' && isResultOf(message, working.promptId)) {
        const outcome = outcomeOf(message, working.error, working.interruptedAt !== undefined)
        working.end(outcome.kind === 'completed' ? { ...outcome, exitCode: null } : outcome)
      }
    },
    lost(words) {
      if (!working) return
      if (working.interruptedAt !== undefined) working.end({ kind: 'interrupted' })
      else
        working.end({ kind: 'failed', reason: 'agent_died', message: words || 'The agent ended.' })
    },
    workingTurnId: () => working?.id,
  }
}

/** The uuid of a turn's prompt in the conversation: the same after a restart, so that it is never asked twice. */
function uuidOf(turnId: string, attempt = 0): string {
  const hex = createHash('sha256').update(`${turnId}/${attempt}`).digest('hex')
  const variant = '89ab'[Number.parseInt(hex[16] ?? '0', 16) & 3]
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

async function beforeTurn(
  { state, finish }: AgentTurnDeps,
  turnId: string,
  { isResumed, stopped }: TurnContext,
): Promise<Snapshot | null> {
  const known = state.get().turn
  if (isResumed && known?.id === turnId) return known.before
  // A folder that is no work tree any more is said at the end of the turn.
  return takeSnapshot(finish, stopped).catch(() => null)
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

async function finishTurn(
  { finish, state, report }: AgentTurnDeps,
  turn: { id: string; text: string },
  before: Snapshot | null,
  stopped: AbortSignal,
): Promise<void> {
  const { pushPending } = state.get()
  const notice = (kind: string, text: string) =>
    report({ type: 'agent.notice', turnId: turn.id, kind, text })
  try {
    const work = { prompt: turn.text, before, pushPending }
    const outcome = await withDeadline(
      'committing and pushing',
      FINISH_MS,
      (signal) => finishWork(finish, work, signal),
      stopped,
    )
    state.set({ pushPending: outcome.pushPending })
    for (const { kind, text } of outcome.notices) notice(kind, text)
  } catch (error) {
    if (stopped.aborted) return
    state.set({ pushPending: true })
    notice('commit', error instanceof Error ? error.message : String(error))
  }
}

function startFailure(error: unknown): TurnEnd {
  const message = error instanceof Error ? error.message : String(error)
  return { kind: 'failed', reason: 'agent_not_started', message }
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
