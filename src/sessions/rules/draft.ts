// What a decision is made of while it is being made: events are applied as they are emitted, so that each rule
// sees the state that the rules before it left. Pure.
import { applyToSession, createSessionState } from '../../protocol/apply-session.ts'
import type { ErrorCode } from '../../protocol/errors.ts'
import type { EventBody, EventOf, EventSource } from '../../protocol/event.ts'
import type { SessionState } from '../../protocol/session.ts'
import { type Lane, laneOf } from '../lanes.ts'

export interface NewEvent {
  source: EventSource
  body: EventBody
}

/** Outside work that follows a commit. In each lane of a session they run one after the other, in the order of their creation. */
export type EffectRequest =
  /** Fetches the repository as well when it is not known yet where the session starts from. */
  | { kind: 'sandbox.start'; generation: number }
  | { kind: 'sandbox.stop'; generation: number; why: 'user' | 'idle' | 'archived' | 'failed' }
  /** Finds out whether anything still computes in a sandbox that has had no work for long. */
  | { kind: 'sandbox.watch'; generation: number }
  /** `repository`: which of the additional ones; the main one without. */
  | { kind: 'changes.measure'; repository?: string | undefined }
  /** `attempt` counts from 0. `notBefore` is a time in ISO 8601; null: at once. */
  | {
      kind: 'push.forward'
      attempt: number
      notBefore: string | null
      repository?: string | undefined
    }
  /** The session is gone; this takes away what is left of it outside of the database. Requested by removing it. */
  | { kind: 'session.remove' }

export interface Decision {
  events: NewEvent[]
  effects: EffectRequest[]
  /** Lanes whose work was asked for earlier and is not wanted any more. */
  cancels: Lane[]
  /** It begins work, which it may do only where a slot is free. */
  takesSlot: boolean
  state: SessionState
}

/** When a decision is made, and whether one more session may work then. */
export interface Moment {
  now: Date
  hasSlot: boolean
}

export interface Refusal {
  refused: { code: ErrorCode; reason: string; message: string }
}

export interface Draft {
  readonly state: SessionState
  emit(source: EventSource, body: EventBody): void
  request(effect: EffectRequest): void
  cancel(lane: Lane): void
  /** False: there is none, and the session has to wait for one. */
  takeSlot(): boolean
  finish(): Decision
}

export function createDraft(initial: SessionState, { now, hasSlot }: Moment): Draft {
  let state = initial
  const events: NewEvent[] = []
  let effects: EffectRequest[] = []
  const cancels = new Set<Lane>()
  let takesSlot = false
  return {
    get state() {
      return state
    },
    emit(source, body) {
      const event = {
        sessionId: state.id,
        seq: state.lastSeq + 1,
        at: now.toISOString(),
        source,
        body,
      }
      state = applyToSession(state, event)
      events.push({ source, body })
    },
    request(effect) {
      effects.push(effect)
    },
    cancel(lane) {
      effects = effects.filter((effect) => laneOf(effect) !== lane)
      cancels.add(lane)
    },
    takeSlot() {
      takesSlot ||= hasSlot
      return hasSlot
    },
    finish: () => ({ events, effects, cancels: [...cancels], takesSlot, state }),
  }
}

/** The draft of a session that does not exist yet, with its first event emitted. */
export function createFirstDraft(
  sessionId: string,
  body: EventOf<'session.created'>,
  moment: Moment,
): { draft: Draft; first: NewEvent } {
  const first: NewEvent = { source: 'user', body }
  const at = moment.now.toISOString()
  const state = createSessionState({ sessionId, seq: 1, at, source: 'user', body })
  return { draft: createDraft(state, moment), first }
}

export function refuse(code: ErrorCode, reason: string, message: string): Refusal {
  return { refused: { code, reason, message } }
}

export function isRefusal(outcome: Decision | Refusal): outcome is Refusal {
  return 'refused' in outcome
}
