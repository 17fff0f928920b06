// How the state of a session looks: a shape, a word and a colour, and the group of the list that it belongs to.
import type { Place, SessionSummary } from '../../../src/protocol/api.ts'
import type { SessionState } from '../../../src/protocol/session.ts'
import type { GlyphName } from '../ui/glyph.tsx'
import { totalChanges } from './total-changes.ts'

export interface Look {
  glyph: GlyphName
  word: string
  color: string
}

export type Described = Pick<SessionSummary, 'status' | 'changes' | 'additional' | 'place'> & {
  sandboxState: string
  openQuestions: number
}

export function describeState(session: SessionState, place: Place | null): Described {
  const { status, changes, additional, sandbox, questions } = session
  const counted = { openQuestions: questions.length }
  return { status, changes, additional, place, ...counted, sandboxState: sandbox.state }
}

export function lookOf(session: Described): Look {
  if (needsYou(session)) return { glyph: 'diamond', word: 'needs you', color: 'text-accent' }
  if (isPreparing(session)) return { glyph: 'half', word: 'preparing', color: 'text-text' }
  switch (session.status) {
    case 'queued':
      return { glyph: 'ring', word: describeQueued(session.place), color: 'text-muted' }
    case 'working':
    case 'waiting':
      return session.sandboxState === 'ready'
        ? { glyph: 'dot', word: 'running', color: 'text-text' }
        : { glyph: 'half', word: 'preparing', color: 'text-text' }
    case 'failed':
      return { glyph: 'cross', word: 'failed', color: 'text-bad' }
    case 'archived':
      return { glyph: 'dash', word: 'archived', color: 'text-muted' }
    case 'idle':
      return totalChanges(session)
        ? { glyph: 'check', word: 'ready', color: 'text-ok' }
        : { glyph: 'dash', word: 'idle', color: 'text-muted' }
  }
}

function describeQueued(place: Place | null): string {
  return place ? `queued, ${place.number} of ${place.of}` : 'queued'
}

/** Also after a failure, when it is tried again. */
function isPreparing({ status, sandboxState }: Described): boolean {
  return sandboxState === 'preparing' && !['idle', 'queued', 'archived'].includes(status)
}

export function needsYou(session: Described): boolean {
  return (
    session.status !== 'archived' && (session.status === 'waiting' || session.openQuestions > 0)
  )
}

const GROUPS = ['Needs you', 'Working', 'Ready', 'Idle', 'Archived'] as const
export type Group = (typeof GROUPS)[number]

export function groupOf(session: Described): Group {
  if (session.status === 'archived') return 'Archived'
  if (needsYou(session)) return 'Needs you'
  if (session.status === 'queued' || session.status === 'working' || isPreparing(session))
    return 'Working'
  // It stands until somebody tries it again or puts it away.
  if (session.status === 'failed') return 'Needs you'
  return totalChanges(session) ? 'Ready' : 'Idle'
}

/** Newest first within each group; groups in their order, empty ones left out. */
export function grouped(
  sessions: readonly SessionSummary[],
  search: string,
): [Group, SessionSummary[]][] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean)
  const found = sessions.filter((session) => {
    const { repository, additional } = session
    const names = [repository, ...additional].map(({ name }) => name).join(' ')
    const text = `${session.title} ${names} ${repository.branch}`.toLowerCase()
    return words.every((word) => text.includes(word))
  })
  const newest = found.toSorted((a, b) => b.updatedAt.localeCompare(a.updatedAt))
  return GROUPS.map((group): [Group, SessionSummary[]] => [
    group,
    newest.filter((session) => groupOf(session) === group),
  ]).filter(([, members]) => members.length > 0)
}
