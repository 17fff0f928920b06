// Adds to sessions their place in the queue of those that wait for a free slot. It follows from other sessions, so it is no
// part of a state.
import {
  type Place,
  type SessionAnswer,
  type SessionSummary,
  summarizeSession,
  summarizeUnreadable,
} from '../protocol/api.ts'
import { type FoundSession, isUnreadable } from '../protocol/found-session.ts'
import type { SessionState } from '../protocol/session.ts'
import type { SessionsApi } from './deps.ts'

type Places = Pick<SessionsApi, 'places'>

export async function withPlace(sessions: Places, state: SessionState): Promise<SessionAnswer> {
  if (state.status !== 'queued') return state
  return { ...state, place: (await sessions.places()).get(state.id) }
}

export async function summarizeWithPlaces(
  sessions: Places,
  found: FoundSession[],
): Promise<SessionSummary[]> {
  const isWaiting = found.some((one) => !isUnreadable(one) && one.status === 'queued')
  const places = isWaiting ? await sessions.places() : undefined
  return found.map((one) => summarize(one, places?.get(one.id) ?? null))
}

/** One that cannot be read may still be counted among those that wait. */
export function summarize(found: FoundSession, place: Place | null): SessionSummary {
  if (isUnreadable(found)) return summarizeUnreadable(found)
  return { ...summarizeSession(found), place: found.status === 'queued' ? place : null }
}
