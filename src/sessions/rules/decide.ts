// The rules of a session: (state, command, now) → events and effects, or a refusal. Pure: no clock, no id, no I/O.
import type { Command, UserCommand } from '../../protocol/command.ts'
import { allowOnly, isSameNetwork, isWider, joinNetworks } from '../../protocol/environment.ts'
import type { SessionState } from '../../protocol/session.ts'
import { decideReport } from './decide-report.ts'
import { decideRunnerReport } from './decide-runner.ts'
import {
  createDraft,
  createFirstDraft,
  type Decision,
  type Draft,
  type Moment,
  type Refusal,
  refuse,
} from './draft.ts'
import { grantPush } from './grants.ts'
import { retryPush } from './outward.ts'
import { advance, beginOrQueue, endTurnBySystem } from './progress.ts'

export interface Rules {
  /** A sandbox without work is stopped after this long, infinity for never; its files are kept. */
  idleStopMs: number
  /** What computes on without a turn keeps its sandbox for no longer than this: it may be a program that hangs. */
  mostBusyMs: number
  /** How many messages may wait in a session. */
  maxQueued: number
  /** How many sessions may work at once. One that went on after a question was answered may be beyond it. */
  concurrency: number
}

export const DEFAULT_IDLE_MINUTES = 30
const MINUTE_MS = 60_000

export const defaultRules: Rules = {
  idleStopMs: DEFAULT_IDLE_MINUTES * MINUTE_MS,
  mostBusyMs: 24 * 60 * MINUTE_MS,
  maxQueued: 50,
  concurrency: Number.POSITIVE_INFINITY,
}

/** Of an installation; 0 minutes for never. */
export function rulesOf(settings: { concurrency: number; idleMinutes: number }): Rules {
  const { concurrency, idleMinutes } = settings
  const idleStopMs = idleMinutes === 0 ? Number.POSITIVE_INFINITY : idleMinutes * MINUTE_MS
  return { ...defaultRules, concurrency, idleStopMs }
}

export function decide(
  state: SessionState,
  command: Command,
  moment: Moment,
  rules = defaultRules,
): Decision | Refusal {
  const draft = createDraft(state, moment)
  const refusal = apply(draft, command, moment.now, rules)
  if (state.status === 'queued') stopAhead(draft)
  return refusal ?? draft.finish()
}

/** A sandbox that was started ahead of its session may wait in the queue with it, and does not stay when that leaves. */
function stopAhead(draft: Draft): void {
  const { status, sandbox } = draft.state
  if (sandbox.state !== 'none' || (status !== 'idle' && status !== 'archived')) return
  draft.request({ kind: 'sandbox.stop', generation: sandbox.generation, why: 'user' })
}

/** The decision that makes a session. */
export function decideCreate(
  sessionId: string,
  command: Extract<UserCommand, { type: 'session.create' }>,
  moment: Moment,
): Decision {
  const { type: _, turnId, kind, text, ...fields } = command
  const created = { type: 'session.created', ...fields } as const
  const { draft, first } = createFirstDraft(sessionId, created, moment)
  draft.emit('user', { type: 'message.queued', turnId, kind, text })
  beginOrQueue(draft)
  const decision = draft.finish()
  return { ...decision, events: [first, ...decision.events] }
}

function apply(draft: Draft, command: Command, now: Date, rules: Rules): Refusal | undefined {
  switch (command.type) {
    case 'runner.report':
      decideRunnerReport(draft, command.report)
      return undefined
    case 'session.create':
      return refuse('conflict', 'session_exists', 'A session with this id exists.')
    case 'session.rename':
    case 'session.stop':
    case 'session.retry':
    case 'session.archive':
    case 'session.unarchive':
    case 'push.retry':
    case 'push.grant':
    case 'turn.submit':
    case 'message.withdraw':
    case 'turn.interrupt':
    case 'question.answer':
    case 'mode.set':
    case 'model.set':
    case 'environment.allow':
    case 'network.set':
      return decideUserCommand(draft, command, rules)
    default:
      decideReport(draft, command, now, rules)
      return undefined
  }
}

/** Commits that were kept may still go outside. */
const FOR_ARCHIVED: ReadonlySet<UserCommand['type']> = new Set(['session.unarchive', 'push.retry'])

type Asked = Exclude<UserCommand, { type: 'session.create' }>

function decideUserCommand(draft: Draft, command: Asked, rules: Rules): Refusal | undefined {
  if (draft.state.status === 'archived' && !FOR_ARCHIVED.has(command.type)) {
    if (command.type === 'session.archive') return undefined
    return refuse(
      'conflict',
      'session_archived',
      'The session is archived. Take it out of the archive first.',
    )
  }
  switch (command.type) {
    case 'session.rename':
      draft.emit('user', { type: 'session.renamed', title: command.title })
      return undefined
    case 'session.stop':
      stop(draft, 'user')
      return undefined
    case 'session.archive':
      stop(draft, 'archived')
      draft.emit('user', { type: 'session.archived' })
      return undefined
    case 'session.unarchive':
      if (draft.state.status === 'archived') draft.emit('user', { type: 'session.unarchived' })
      return undefined
    case 'session.retry':
      return retry(draft)
    case 'push.retry':
      return retryPush(draft)
    case 'push.grant':
      return grantPush(draft, command)
    case 'turn.submit':
      return submit(draft, command, rules)
    case 'message.withdraw':
      return withdraw(draft, command.turnId)
    case 'turn.interrupt':
      return interrupt(draft, command.turnId)
    case 'question.answer':
      return answer(draft, command)
    case 'environment.allow':
      return allow(draft, command)
    case 'network.set':
      if (!isSameNetwork(draft.state.environment.network, command.network))
        draft.emit('user', { type: 'network.changed', network: command.network })
      return undefined
    case 'mode.set':
      if (draft.state.mode !== command.mode)
        draft.emit('user', { type: 'mode.changed', mode: command.mode })
      return undefined
    case 'model.set':
      if (draft.state.model !== command.model)
        draft.emit('user', { type: 'model.changed', model: command.model })
      return undefined
  }
}

/** A host, or what the repository asks to reach, is allowed from now on, also in a sandbox that runs. */
function allow(
  draft: Draft,
  { scope, host }: Extract<UserCommand, { type: 'environment.allow' }>,
): Refusal | undefined {
  const { environment, environmentFile } = draft.state
  const asked = host ? allowOnly(host) : environmentFile?.network
  if (!asked || !isWider(asked, environment.network)) {
    const message = host
      ? `This session's network allows ${host} already.`
      : 'The repository asks for nothing that this session may not reach already.'
    return refuse('conflict', 'nothing_to_allow', message)
  }
  const network = joinNetworks(environment.network, asked)
  draft.emit('user', { type: 'environment.allowed', network, scope })
  return undefined
}

/** Ends the turn, drops the work on its sandbox and stops that. Queued messages stay; kept commits go outside all the same. */
function stop(draft: Draft, why: 'user' | 'archived'): void {
  endTurnBySystem(draft)
  const { state: sandboxState, generation } = draft.state.sandbox
  // Otherwise all that may be under way is the stop of what failed.
  if (sandboxState !== 'preparing' && sandboxState !== 'ready') return
  draft.cancel('sandbox')
  draft.request({ kind: 'sandbox.stop', generation, why })
}

function retry(draft: Draft): Refusal | undefined {
  const { turn, queue, status } = draft.state
  if (status !== 'failed')
    return refuse(
      'conflict',
      'nothing_failed',
      'Nothing has failed here, so there is nothing to retry.',
    )
  if (!turn && queue.length === 0) {
    return refuse(
      'conflict',
      'nothing_to_retry',
      'The failed turn is over. Send a message to go on.',
    )
  }
  advance(draft)
  return undefined
}

function submit(
  draft: Draft,
  command: Extract<UserCommand, { type: 'turn.submit' }>,
  rules: Rules,
): Refusal | undefined {
  const { turn, queue, endedTurnIds } = draft.state
  const known = [...endedTurnIds, turn?.id, ...queue.map(({ id }) => id)]
  if (known.includes(command.turnId)) return undefined
  if (queue.length >= rules.maxQueued) {
    return refuse(
      'rate_limited',
      'queue_full',
      `${rules.maxQueued} messages are waiting already. Let some be worked on or take one back.`,
    )
  }
  const { turnId, kind, text } = command
  draft.emit('user', { type: 'message.queued', turnId, kind, text })
  advance(draft)
  return undefined
}

function withdraw(draft: Draft, turnId: string): Refusal | undefined {
  const { queue, turn } = draft.state
  if (queue.some((queued) => queued.id === turnId)) {
    draft.emit('user', { type: 'message.withdrawn', turnId })
    return undefined
  }
  if (turn?.id === turnId) {
    return refuse(
      'conflict',
      'message_started',
      'The agent is working on this message already. Interrupt it instead.',
    )
  }
  return refuse('not_found', 'message_not_found', 'No waiting message has this id.')
}

function interrupt(draft: Draft, asked: string | undefined): Refusal | undefined {
  const { turn, queue, sandbox, status } = draft.state
  const current = status === 'queued' ? queue[0] : turn
  if (asked !== undefined && current?.id !== asked) {
    return refuse(
      'conflict',
      'turn_not_current',
      'The agent is not working on this message now, so that nothing was interrupted.',
    )
  }
  if (status === 'queued') {
    endTurnBySystem(draft)
    // Its next message waits in the same place.
    if (draft.state.queue.length > 0) draft.emit('system', { type: 'session.queued' })
    return undefined
  }
  if (!turn)
    return refuse(
      'conflict',
      'no_turn',
      'The agent is not working, so there is nothing to interrupt.',
    )
  if (turn.interruptRequested) return undefined
  draft.emit('user', { type: 'turn.interrupt-requested', turnId: turn.id })
  if (sandbox.state !== 'ready') {
    endTurnBySystem(draft)
    advance(draft)
  }
  return undefined
}

function answer(
  draft: Draft,
  command: Extract<UserCommand, { type: 'question.answer' }>,
): Refusal | undefined {
  const open = draft.state.questions.some((question) => question.id === command.questionId)
  if (!open) {
    return refuse(
      'conflict',
      'question_closed',
      'This question is not open: it was answered, or the turn that asked it is over.',
    )
  }
  draft.emit('user', {
    type: 'question.answered',
    questionId: command.questionId,
    answer: command.answer,
  })
  return undefined
}
