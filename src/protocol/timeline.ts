// The timeline: what a person reads of a session, in order. Built from events alone; the page and the CLI only render it.
import type { NetworkPolicy } from './environment.ts'
import type { EventOf, SessionEvent } from './event.ts'
import type { AllowScope, Answer, Question } from './session.ts'
import { applyDenied, applyEnvironment } from './timeline-network.ts'
import { type Notice, noticeOf } from './timeline-notices.ts'
import { applyPreparation, type Preparation } from './timeline-preparation.ts'
import { type PushLine, pushed } from './timeline-pushes.ts'
import { update } from './timeline-update.ts'

export interface At {
  seq: number
  at: string
}

export type TimelineItem = At &
  (
    | {
        kind: 'prompt'
        turnId: string
        turnKind: 'agent' | 'command'
        text: string
        state: 'queued' | 'started'
      }
    | Preparation
    | { kind: 'text'; turnId: string; uuid: string; text: string }
    | { kind: 'thinking'; turnId: string; uuid: string; text: string }
    | ToolItem
    | HookItem
    | { kind: 'output'; turnId: string; text: string }
    | { kind: 'question'; question: Question; answer: Answer | null; open: boolean }
    | Notice
    | {
        kind: 'wish'
        /** What the repository asks to reach beyond what its session may. */
        network: NetworkPolicy
        state: 'open' | AllowScope
      }
    | {
        kind: 'denied'
        host: string
        port: number
        reason: string
        count: number
        /** It is allowed by now. */
        allowed: boolean
      }
    | PushLine
    | {
        kind: 'end'
        turnId: string
        outcome: 'completed' | 'failed' | 'interrupted'
        exitCode: number | null
        durationMs: number | null
        reason: string | null
        text: string
      }
  )

export interface HookItem extends At {
  kind: 'hook'
  hookId: string
  event: string
  name: string
  result: 'running' | 'success' | 'error' | 'cancelled'
  exitCode: number | null
  durationMs: number | null
  output: string
}

export interface ToolItem extends At {
  kind: 'tool'
  turnId: string
  toolUseId: string
  name: string
  input: unknown
  parentToolUseId: string | null
  output: string | null
  isError: boolean
  durationMs: number | null
}

/** The agent asks its model again and again: what is refused for the same reason each time is shown once. */
export function saysAgain(item: TimelineItem, last: TimelineItem | undefined): boolean {
  if (item.kind !== 'notice' || last?.kind !== 'notice') return false
  return item.tone === 'bad' && item.code === last.code && item.text === last.text
}

/** Adds what `event` shows; returns the same array when it shows nothing. */
export function applyToTimeline(
  items: readonly TimelineItem[],
  event: SessionEvent,
): readonly TimelineItem[] {
  const { body } = event
  const at: At = { seq: event.seq, at: event.at }
  switch (body.type) {
    case 'message.queued':
    case 'message.withdrawn':
    case 'turn.started':
      return applyPrompt(items, body, at)
    case 'tool.called':
    case 'tool.returned':
      return applyTool(items, body, at)
    case 'hook.started':
    case 'hook.ended':
      return applyHook(items, body, at)
    case 'question.asked':
    case 'question.answered':
    case 'question.closed':
      return applyQuestion(items, body, at)
    case 'turn.completed':
    case 'turn.failed':
    case 'turn.interrupted':
      return [...items, { ...at, ...turnEnd(body) }]
    case 'sandbox.preparing': {
      const { generation, resume } = body
      return [
        ...items,
        { ...at, kind: 'preparation', generation, resume, phases: [], ready: false },
      ]
    }
    case 'phase.started':
    case 'phase.logged':
    case 'phase.completed':
    case 'phase.failed':
    case 'phase.withdrawn':
    case 'sandbox.ready':
      return applyPreparation(items, body, at)
    case 'environment.read':
    case 'environment.allowed':
    case 'network.changed':
      return applyEnvironment(items, body, at)
    case 'egress.denied':
      return applyDenied(items, body, at)
    case 'push.accepted':
    case 'push.refused':
      return [...items, { ...at, ...pushed(body) }]
    case 'push.forward-failed':
      return applyForwardFailed(items, body)
    case 'push.granted':
      return applyGranted(items, body, at)
    case 'assistant.text':
    case 'assistant.thinking':
    case 'command.output':
      return [...items, { ...at, ...written(body) }]
    case 'sandbox.busy':
      return isSaidLast(items, body.type) ? items : withNotice(items, body, at)
    case 'sandbox.stopped':
    case 'sandbox.lost':
      return withNotice(applyPreparation(items, body, at), body, at)
    default:
      return withNotice(items, body, at)
  }
}

/** What stays as it is need not be said twice in a row. */
function isSaidLast(items: readonly TimelineItem[], code: string): boolean {
  const last = items.at(-1)
  return last?.kind === 'notice' && last.code === code
}

function withNotice(
  items: readonly TimelineItem[],
  body: SessionEvent['body'],
  at: At,
): readonly TimelineItem[] {
  const notice = noticeOf(body)
  return notice ? [...items, { ...at, ...notice }] : items
}

function applyPrompt(
  items: readonly TimelineItem[],
  body: EventOf<'message.queued' | 'message.withdrawn' | 'turn.started'>,
  at: At,
): readonly TimelineItem[] {
  const { turnId } = body
  switch (body.type) {
    case 'message.queued': {
      const { kind: turnKind, text } = body
      return [...items, { ...at, kind: 'prompt', turnId, turnKind, text, state: 'queued' }]
    }
    case 'message.withdrawn':
      return items.filter((item) => item.kind !== 'prompt' || item.turnId !== turnId)
    case 'turn.started':
      return update(items, (item) =>
        item.kind === 'prompt' && item.turnId === turnId
          ? { ...item, state: 'started' }
          : undefined,
      )
  }
}

function applyTool(
  items: readonly TimelineItem[],
  body: EventOf<'tool.called' | 'tool.returned'>,
  at: At,
): readonly TimelineItem[] {
  if (body.type === 'tool.called') {
    const { turnId, toolUseId, name, input, parentToolUseId } = body
    const called = { turnId, toolUseId, name, input, parentToolUseId }
    return [
      ...items,
      { ...at, kind: 'tool', ...called, output: null, isError: false, durationMs: null },
    ]
  }
  return update(items, (item) => {
    if (item.kind !== 'tool' || item.toolUseId !== body.toolUseId) return undefined
    const durationMs = Date.parse(at.at) - Date.parse(item.at)
    return { ...item, output: body.output, isError: body.isError, durationMs }
  })
}

function applyHook(
  items: readonly TimelineItem[],
  body: EventOf<'hook.started' | 'hook.ended'>,
  at: At,
): readonly TimelineItem[] {
  if (body.type === 'hook.started') {
    const { hookId, event, name } = body
    const running = { result: 'running' as const, exitCode: null, durationMs: null, output: '' }
    return [...items, { ...at, kind: 'hook', hookId, event, name, ...running }]
  }
  const { outcome, exitCode, durationMs, output } = body
  return update(items, (item) =>
    item.kind === 'hook' && item.hookId === body.hookId
      ? { ...item, result: outcome, exitCode, durationMs, output }
      : undefined,
  )
}

function applyQuestion(
  items: readonly TimelineItem[],
  body: EventOf<'question.asked' | 'question.answered' | 'question.closed'>,
  at: At,
): readonly TimelineItem[] {
  if (body.type === 'question.asked') {
    return [
      ...items,
      { ...at, kind: 'question', question: body.question, answer: null, open: true },
    ]
  }
  return update(items, (item) => {
    if (item.kind !== 'question' || item.question.id !== body.questionId) return undefined
    const answer = body.type === 'question.answered' ? body.answer : item.answer
    return { ...item, open: false, answer }
  })
}

function written(body: EventOf<'assistant.text' | 'assistant.thinking' | 'command.output'>) {
  const { turnId, text } = body
  switch (body.type) {
    case 'assistant.text':
      return { kind: 'text' as const, turnId, uuid: body.uuid, text }
    case 'assistant.thinking':
      return { kind: 'thinking' as const, turnId, uuid: body.uuid, text }
    case 'command.output':
      return { kind: 'output' as const, turnId, text }
  }
}

/** What was refused before can be pushed now; the scope as it is now is a line of its own. */
function applyGranted(
  items: readonly TimelineItem[],
  body: EventOf<'push.granted'>,
  at: At,
): readonly TimelineItem[] {
  const answered = items.map((item) =>
    item.kind === 'push' &&
    item.grantable !== null &&
    item.repository === (body.repository ?? null) &&
    body.branches.includes(item.grantable)
      ? { ...item, grantable: null }
      : item,
  )
  return withNotice(answered, body, at)
}

/** What became of the push that was kept is told where it stands; the time of the next try is in the session's state. */
function applyForwardFailed(
  items: readonly TimelineItem[],
  { outward, reason, message, repository }: EventOf<'push.forward-failed'>,
): readonly TimelineItem[] {
  return update(items, (item) =>
    item.kind === 'push' &&
    (item.outward === 'kept' || item.outward === 'refused') &&
    item.repository === (repository ?? null)
      ? { ...item, outward, reason, text: message }
      : undefined,
  )
}

function turnEnd(body: EventOf<'turn.completed' | 'turn.failed' | 'turn.interrupted'>) {
  const end = {
    kind: 'end' as const,
    turnId: body.turnId,
    exitCode: null,
    durationMs: null,
    reason: null,
    text: '',
  }
  switch (body.type) {
    case 'turn.completed':
      return {
        ...end,
        outcome: 'completed' as const,
        exitCode: body.exitCode,
        durationMs: body.durationMs,
      }
    case 'turn.failed':
      return { ...end, outcome: 'failed' as const, reason: body.reason, text: body.message }
    case 'turn.interrupted':
      return { ...end, outcome: 'interrupted' as const }
  }
}
