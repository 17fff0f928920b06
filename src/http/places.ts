// Adds to sessions their place in the queue of those that wait for a free slot. It follows from other sessions, so it is no
// part of a state.
import { type SessionAnswer, type SessionSummary, summarizeSession } from '../protocol/api.ts'
import type { SessionState } from '../protocol/session.ts'
import type { SessionsApi } from './deps.ts'

type Places = Pick<SessionsApi, 'places'>

export async function withPlace(sessions: Places, state: SessionState): Promise<SessionAnswer> {
  if (state.status !== 'queued') return state
  return { ...state, place: (await sessions.places()).get(state.id) }
}

export async function summarizeWithPlaces(
  sessions: Places,
  states: SessionState[],
): Promise<SessionSummary[]> {
  const isWaiting = states.some(({ status }) => status === 'queued')
  const places = isWaiting ? await sessions.places() : undefined
  return states.map((state) => ({
    ...summarizeSession(state),
    place: places?.get(state.id) ?? null,
  }))
}
