// The one way to change a session: decides on the locked state and commits events, effects and the runner's
// acknowledgement together. A function over the database, so that server and gateway may both run it.

import type { Command, UserCommand } from '../protocol/command.ts'
import { AppError } from '../protocol/errors.ts'
import type { RunnerReport } from '../protocol/runner-frames.ts'
import type { SessionState } from '../protocol/session.ts'
import type { NewEffect } from '../store/effects.ts'
import type { Change, ChangeContext, ChangeOptions, EventLog } from '../store/event-log.ts'
import { laneOf } from './lanes.ts'
import { decide, decideCreate, type Rules } from './rules/decide.ts'
import { nextDeadline } from './rules/decide-report.ts'
import { type Decision, type EffectRequest, isRefusal, type Moment } from './rules/draft.ts'
import { hasSlot } from './rules/slots.ts'

export interface Dispatch {
  /** Rejects with AppError when the session is unknown or the rules refuse. */
  command(sessionId: string, command: Command, options?: ChangeOptions): Promise<SessionState>
  create(
    sessionId: string,
    command: Extract<UserCommand, { type: 'session.create' }>,
  ): Promise<SessionState>
  /** Takes in journaled reports in the order of `n`, which several may share; those taken before are skipped. Returns the last `n` stored. */
  reports(sessionId: string, reports: { n: number; report: RunnerReport }[]): Promise<number>
  /** Last `n` stored, and the state. */
  runnerState(sessionId: string): Promise<{ ackedN: number; state: SessionState }>
}

export function createDispatch(log: Pick<EventLog, 'change'>, rules: Rules): Dispatch {
  const change = async (
    sessionId: string,
    decideChange: (context: ChangeContext) => Change | { refusal: AppError },
    options?: ChangeOptions,
  ) => {
    const changed = await log.change(sessionId, decideChange, options)
    if ('refusal' in changed) throw asError(changed.refusal)
    return changed.state
  }
  return {
    command: (sessionId, command, options) =>
      change(sessionId, (context) => decideOn(context, command, rules), options),
    create: (sessionId, command) =>
      change(sessionId, (context) => {
        if (context.state) {
          return {
            refusal: new AppError('conflict', 'session_exists', 'A session with this id exists.'),
          }
        }
        return toChange(
          decideCreate(sessionId, command, momentOf(context, sessionId, rules)),
          rules,
        )
      }),
    reports: async (sessionId, reports) => {
      let ackedN = 0
      await change(sessionId, (context) => {
        const taken = takeReports(context, reports, rules)
        if ('refusal' in taken) return taken
        ackedN = taken.ackedN ?? 0
        return taken
      })
      return ackedN
    },
    runnerState: async (sessionId) => {
      let ackedN = 0
      const state = await change(sessionId, (context) => {
        ackedN = context.ackedN
        if (!context.state) return { refusal: sessionNotFound() }
        return { events: [], state: context.state }
      })
      return { ackedN, state }
    },
  }
}

export function sessionNotFound(): AppError {
  return new AppError('not_found', 'session_not_found', 'There is no such session.')
}

/** Decides first as if a slot were free, and again with what the store has found if that is what it rests on. */
function momentOf({ now, load }: ChangeContext, sessionId: string, rules: Rules): Moment {
  return { now, hasSlot: load === undefined || hasSlot(load, sessionId, rules.concurrency) }
}

function decideOn(
  context: ChangeContext,
  command: Command,
  rules: Rules,
): Change | { refusal: AppError } {
  const { state } = context
  if (!state) return { refusal: sessionNotFound() }
  const outcome = decide(state, command, momentOf(context, state.id, rules), rules)
  if (isRefusal(outcome)) {
    const { code, reason, message } = outcome.refused
    return { refusal: new AppError(code, reason, message) }
  }
  return toChange(outcome, rules)
}

function takeReports(
  context: ChangeContext,
  reports: { n: number; report: RunnerReport }[],
  rules: Rules,
): Change | { refusal: AppError } {
  if (!context.state) return { refusal: sessionNotFound() }
  let { ackedN } = context
  const moment = momentOf(context, context.state.id, rules)
  const whole: Change = { events: [], state: context.state, effects: [], cancelLanes: [] }
  for (const { n, report } of reports) {
    if (n <= context.ackedN) continue
    const decision = decide(whole.state, { type: 'runner.report', report }, moment, rules)
    ackedN = n
    if (isRefusal(decision)) continue
    const part = toChange(decision, rules)
    whole.events.push(...part.events)
    const { effects = [], cancelLanes = [] } = part
    const wanted = whole.effects?.filter(({ lane }) => !cancelLanes.includes(lane)) ?? []
    whole.effects = [...wanted, ...effects]
    whole.cancelLanes = [...new Set([...(whole.cancelLanes ?? []), ...cancelLanes])]
    whole.state = part.state
    whole.deadlineAt = part.deadlineAt
    whole.needsLoad ||= part.needsLoad
  }
  return { ...whole, ackedN }
}

function toChange(decision: Decision, rules: Rules): Change {
  const { events, effects, cancels, takesSlot, state } = decision
  // Neither is ever given up: the clock asks for it once. What makes it unwanted is an event, which counts the time anew.
  const isPutToRest = effects.some(
    (asked) =>
      asked.kind === 'sandbox.watch' || (asked.kind === 'sandbox.stop' && asked.why === 'idle'),
  )
  return {
    events,
    state,
    effects: effects.map(toNewEffect),
    cancelLanes: cancels,
    deadlineAt: (isPutToRest ? undefined : nextDeadline(state, rules)?.at) ?? null,
    needsLoad: takesSlot && Number.isFinite(rules.concurrency),
  }
}

export function toNewEffect(effect: EffectRequest): NewEffect {
  const { kind, ...payload } = effect
  const notBefore = 'notBefore' in payload ? payload.notBefore : null
  const runAfter = notBefore === null ? {} : { runAfter: new Date(notBefore) }
  return { kind, lane: laneOf(effect), payload, ...runAfter }
}

function asError(refusal: { code: AppError['code']; reason: string; message: string }): AppError {
  if (refusal instanceof AppError) return refusal
  return new AppError(refusal.code, refusal.reason, refusal.message)
}
