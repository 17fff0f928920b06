// What every client shows of a session, live, after a reload and in an export: `events.reduce(applyEvent, emptyView)`.
import { applyToSession, createSessionState } from './apply-session.ts'
import type { SessionEvent } from './event.ts'
import type { SessionState } from './session.ts'
import { applyToTimeline, type TimelineItem } from './timeline.ts'

export interface SessionView {
  session: SessionState | null
  timeline: readonly TimelineItem[]
}

export const emptyView: SessionView = { session: null, timeline: [] }

/** Applies the next event; one that was applied already (by `seq`) changes nothing, so replays may overlap. */
export function applyEvent(view: SessionView, event: SessionEvent): SessionView {
  const { session } = view
  if (session === null) {
    const { body } = event
    if (body.type !== 'session.created') return view
    return { session: createSessionState({ ...event, body }), timeline: [] }
  }
  if (event.seq <= session.lastSeq) return view
  return {
    session: applyToSession(session, event),
    timeline: applyToTimeline(view.timeline, event),
  }
}
