// One event applied to the state of a session. Pure and total: an event that does not fit changes nothing.
// Used by `decide` through the store, and by every client through `applyEvent`.
import { isWider, type NetworkPolicy } from './environment.ts'
import type { EventBody, EventOf, SessionEvent } from './event.ts'
import {
  type AdditionalState,
  LOG_LINES_KEPT,
  NO_GRANTS,
  type Phase,
  type SessionState,
  withPhase,
} from './session.ts'

export const NOTHING_OUTSIDE = { state: 'none', message: '', nextAt: null } as const
export const NO_USAGE = {
  requests: 0,
  inputTokens: 0,
  outputTokens: 0,
  cacheReadTokens: 0,
  cacheCreationTokens: 0,
  costUsd: null,
}
const UNTOUCHED = { changes: null, outward: NOTHING_OUTSIDE, pushGrants: NO_GRANTS }

export function createSessionState(
  event: SessionEvent & { body: EventOf<'session.created'> },
): SessionState {
  const { type: _, additional = [], ...fields } = event.body
  return {
    ...fields,
    additional: additional.map((one) => ({ ...one, ...UNTOUCHED })),
    environmentFile: null,
    id: event.sessionId,
    status: 'queued',
    createdAt: event.at,
    updatedAt: event.at,
    lastSeq: event.seq,
    sandbox: {
      ...{ state: 'none', generation: 0, isolation: null, isReplacement: false },
      ...{ busySince: null, phases: [] },
    },
    turn: null,
    queue: [],
    questions: [],
    answers: {},
    lastTurn: null,
    endedTurnIds: [],
    usage: NO_USAGE,
    ...UNTOUCHED,
    failure: null,
  }
}

export function applyToSession(state: SessionState, event: SessionEvent): SessionState {
  const next = change(state, event)
  return { ...next, lastSeq: event.seq, updatedAt: event.at }
}

function change(state: SessionState, { body, at }: SessionEvent): SessionState {
  switch (body.type) {
    case 'message.queued':
    case 'message.withdrawn':
    case 'turn.started':
    case 'turn.interrupt-requested':
    case 'turn.completed':
    case 'turn.failed':
    case 'turn.interrupted':
      return applyTurn(state, body, at)
    case 'question.asked':
    case 'question.answered':
    case 'question.closed':
      return applyQuestion(state, body)
    case 'sandbox.preparing':
    case 'sandbox.isolated':
    case 'sandbox.ready':
    case 'sandbox.busy':
    case 'sandbox.stopped':
    case 'sandbox.lost':
      return applySandbox(state, body, at)
    case 'phase.started':
    case 'phase.logged':
    case 'phase.completed':
    case 'phase.failed':
    case 'phase.withdrawn': {
      const phases = applyPhase(state.sandbox.phases, body, at)
      return { ...state, sandbox: { ...state.sandbox, phases } }
    }
    case 'repository.resolved':
    case 'push.accepted':
    case 'push.forwarded':
    case 'push.forward-failed':
    case 'push.retry-requested':
    case 'push.granted':
    case 'changes.measured':
      return applyRepository(state, body)
    default:
      return { ...state, ...changedFields(state, body) }
  }
}

function changedFields(state: SessionState, body: EventBody): Partial<SessionState> {
  switch (body.type) {
    case 'session.renamed':
      return { title: body.title }
    case 'session.archived':
      return { status: 'archived' }
    case 'session.unarchived':
      return { status: 'idle' }
    case 'session.queued':
      return { status: 'queued', failure: null }
    case 'session.failed':
      return { status: 'failed', failure: { reason: body.reason, message: body.message } }
    case 'mode.changed':
      return { mode: body.mode }
    case 'model.changed':
      return { model: body.model }
    case 'environment.read': {
      const { type: _, ...environmentFile } = body
      return { environmentFile }
    }
    case 'environment.allowed':
    case 'network.changed':
      return applyNetwork(state, body.network)
    case 'model.used':
      return { usage: addUsage(state.usage, body) }
    default:
      return {}
  }
}

type RepositoryBody = EventOf<
  | 'repository.resolved'
  | 'push.accepted'
  | 'push.forwarded'
  | 'push.forward-failed'
  | 'push.retry-requested'
  | 'push.granted'
  | 'changes.measured'
>

/** The main repository's facts are the session's own. */
function applyRepository(state: SessionState, body: RepositoryBody): SessionState {
  if (body.repository !== undefined) {
    const additional = state.additional.map((one): AdditionalState => {
      if (one.name !== body.repository) return one
      return { ...one, ...resolved(body), ...factsOf(body, one) }
    })
    return { ...state, additional }
  }
  const repository = { ...state.repository, ...resolved(body) }
  const { outward } = state
  return { ...state, repository, ...factsOf(body, { branch: repository.branch, outward }) }
}

function resolved(body: RepositoryBody) {
  if (body.type !== 'repository.resolved') return {}
  const { branch, commit, baseBranch } = body
  return { commit, baseBranch, ...(branch === undefined ? {} : { branch }) }
}

function factsOf(
  body: RepositoryBody,
  before: { branch: string; outward: SessionState['outward'] },
): Partial<Pick<SessionState, 'outward' | 'changes' | 'pushGrants'>> {
  switch (body.type) {
    case 'repository.resolved':
      return {}
    case 'push.accepted':
      // A branch that was granted goes outside at once or not at all.
      if (body.ref !== `refs/heads/${before.branch}`) return {}
      return { outward: { state: body.outward, message: body.message, nextAt: null } }
    case 'push.forwarded':
      return { outward: { state: 'forwarded', message: '', nextAt: null } }
    case 'push.forward-failed': {
      const { outward, message, nextAt } = body
      return { outward: { state: outward, message, nextAt } }
    }
    case 'push.retry-requested':
      return { outward: { ...before.outward, state: 'kept', nextAt: null } }
    case 'push.granted': {
      const { branches, rewrite } = body
      return { pushGrants: { branches, rewrite } }
    }
    case 'changes.measured': {
      const { commit, filesChanged, insertions, deletions } = body
      return { changes: { commit, filesChanged, insertions, deletions } }
    }
  }
}

/** What the repository asks for and is allowed now is no wish any more. */
function applyNetwork(state: SessionState, network: NetworkPolicy): Partial<SessionState> {
  const { environment, environmentFile } = state
  const wish = environmentFile?.network
  const isGranted = wish && !isWider(wish, network)
  return {
    environment: { ...environment, network },
    environmentFile: isGranted ? { ...environmentFile, network: null } : environmentFile,
  }
}

type TurnBody = EventOf<
  | 'message.queued'
  | 'message.withdrawn'
  | 'turn.started'
  | 'turn.interrupt-requested'
  | 'turn.completed'
  | 'turn.failed'
  | 'turn.interrupted'
>

function applyTurn(state: SessionState, body: TurnBody, at: string): SessionState {
  switch (body.type) {
    case 'message.queued': {
      const { turnId: id, kind, text } = body
      const queued = { id, kind, text, submittedAt: at, startedAt: null, interruptRequested: false }
      return { ...state, queue: [...state.queue, queued] }
    }
    case 'message.withdrawn': {
      const queue = state.queue.filter((turn) => turn.id !== body.turnId)
      const hasWork = state.turn !== null || queue.length > 0
      return {
        ...state,
        queue,
        status: state.status === 'queued' && !hasWork ? 'idle' : state.status,
      }
    }
    case 'turn.started': {
      const turn = state.queue.find((queued) => queued.id === body.turnId)
      if (!turn) return state
      const queue = state.queue.filter((queued) => queued !== turn)
      const sandbox = { ...state.sandbox, busySince: null }
      const begun = { ...turn, startedAt: at }
      return { ...state, status: 'working', failure: null, sandbox, queue, turn: begun }
    }
    case 'turn.interrupt-requested':
      if (state.turn?.id !== body.turnId) return state
      return { ...state, turn: { ...state.turn, interruptRequested: true } }
    case 'turn.completed':
      return endTurn(state, { id: body.turnId, outcome: 'completed', exitCode: body.exitCode })
    case 'turn.interrupted':
      return endTurn(state, { id: body.turnId, outcome: 'interrupted', exitCode: null })
    case 'turn.failed': {
      const ended = endTurn(state, { id: body.turnId, outcome: 'failed', exitCode: null })
      return { ...ended, status: 'failed', failure: { reason: body.reason, message: body.message } }
    }
  }
}

/** More than anybody has under way who sends a message again. */
const ENDED_KEPT = 32

function endTurn(
  state: SessionState,
  lastTurn: NonNullable<SessionState['lastTurn']>,
): SessionState {
  if (state.turn?.id !== lastTurn.id) return state
  const endedTurnIds = [...state.endedTurnIds, lastTurn.id].slice(-ENDED_KEPT)
  const nothing = { turn: null, questions: [], answers: {} }
  return { ...state, ...nothing, status: 'idle', lastTurn, endedTurnIds }
}

type QuestionBody = EventOf<'question.asked' | 'question.answered' | 'question.closed'>

function applyQuestion(state: SessionState, body: QuestionBody): SessionState {
  const id = body.type === 'question.asked' ? body.question.id : body.questionId
  const others = state.questions.filter((question) => question.id !== id)
  const { [id]: _, ...answers } = state.answers
  const status = (open: number) => (state.turn ? (open > 0 ? 'waiting' : 'working') : state.status)
  switch (body.type) {
    case 'question.asked':
      return { ...state, questions: [...others, body.question], status: status(others.length + 1) }
    case 'question.answered':
      return {
        ...state,
        questions: others,
        answers: { ...answers, [id]: body.answer },
        status: status(others.length),
      }
    case 'question.closed':
      return { ...state, questions: others, answers, status: status(others.length) }
  }
}

type SandboxBody = EventOf<
  | ('sandbox.preparing' | 'sandbox.isolated' | 'sandbox.ready' | 'sandbox.busy')
  | ('sandbox.stopped' | 'sandbox.lost')
>

function applySandbox(state: SessionState, body: SandboxBody, at: string): SessionState {
  const { sandbox } = state
  switch (body.type) {
    case 'sandbox.preparing': {
      const preparing = {
        ...sandbox,
        state: 'preparing' as const,
        isReplacement: sandbox.state === 'lost',
        generation: body.generation,
        busySince: null,
        phases: [],
      }
      return {
        ...state,
        status: state.turn ? 'working' : state.status,
        failure: null,
        sandbox: preparing,
      }
    }
    case 'sandbox.isolated':
      return { ...state, sandbox: { ...sandbox, isolation: body.isolation } }
    case 'sandbox.ready':
      return { ...state, sandbox: { ...sandbox, state: 'ready' } }
    case 'sandbox.busy':
      return { ...state, sandbox: { ...sandbox, busySince: sandbox.busySince ?? at } }
    case 'sandbox.stopped':
      return { ...state, sandbox: { ...sandbox, state: 'stopped' } }
    case 'sandbox.lost':
      return { ...state, sandbox: { ...sandbox, state: 'lost' } }
  }
}

type PhaseBody = EventOf<
  'phase.started' | 'phase.logged' | 'phase.completed' | 'phase.failed' | 'phase.withdrawn'
>

function applyPhase(phases: Phase[], body: PhaseBody, at: string): Phase[] {
  if (body.type === 'phase.started') {
    const started: Phase = {
      name: body.phase,
      state: 'running',
      startedAt: at,
      durationMs: null,
      kept: false,
      log: [],
      reason: null,
      message: null,
    }
    return withPhase(phases, started)
  }
  if (body.type === 'phase.withdrawn') return phases.filter(({ name }) => name !== body.phase)
  return phases.map((phase) => (phase.name === body.phase ? changePhase(phase, body) : phase))
}

function changePhase(
  phase: Phase,
  body: Exclude<PhaseBody, { type: 'phase.started' | 'phase.withdrawn' }>,
): Phase {
  switch (body.type) {
    case 'phase.logged':
      return { ...phase, log: [...phase.log, ...body.lines].slice(-LOG_LINES_KEPT) }
    case 'phase.completed':
      return {
        ...phase,
        state: 'completed',
        durationMs: body.durationMs,
        kept: body.kept === true,
      }
    case 'phase.failed': {
      const { durationMs, reason, message } = body
      return { ...phase, state: 'failed', durationMs, reason, message }
    }
  }
}

function addUsage(
  usage: SessionState['usage'],
  used: Extract<EventBody, { type: 'model.used' }>,
): SessionState['usage'] {
  const costUsd = used.costUsd === null ? usage.costUsd : (usage.costUsd ?? 0) + used.costUsd
  return {
    requests: usage.requests + 1,
    inputTokens: usage.inputTokens + used.inputTokens,
    outputTokens: usage.outputTokens + used.outputTokens,
    cacheReadTokens: usage.cacheReadTokens + used.cacheReadTokens,
    cacheCreationTokens: usage.cacheCreationTokens + used.cacheCreationTokens,
    costUsd,
  }
}
