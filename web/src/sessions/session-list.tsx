// The list of sessions: grouped by what they want of somebody, searched as one types.
import { Link, useParams } from '@tanstack/react-router'
import { useState } from 'react'
import { describeError } from '../app/api.ts'
import { useSessions } from '../app/queries.ts'
import { Button } from '../ui/button.tsx'
import { Failure } from '../ui/failure.tsx'
import { Glyph } from '../ui/glyph.tsx'
import { Skeleton } from '../ui/skeleton.tsx'
import { useLasting } from '../ui/use-lasting.ts'
import { grouped } from './session-look.ts'
import { SessionRow } from './session-row.tsx'

export function SessionList({
  cut,
  onPalette,
}: {
  /** The list is not live at the moment. */
  cut: boolean
  onPalette: () => void
}) {
  const shownCut = useLasting(cut)
  const [search, setSearch] = useState('')
  return (
    <nav aria-label="Sessions" className="flex h-full min-h-0 flex-col">
      <div className="flex items-center gap-1 p-3 pb-2">
        <Link
          to="/"
          className="hit inline-flex flex-1 items-center gap-2 rounded-control px-2 text-sm font-medium hover:bg-line/35"
        >
          <Glyph name="plus" />
          New task
          <kbd className="ml-auto text-xs font-normal text-muted touch:hidden">n</kbd>
        </Link>
        <Button
          tone="quiet"
          onClick={onPalette}
          aria-label="Commands"
          title="Commands"
          className="px-2"
        >
          <kbd className="text-xs font-normal touch:hidden">⌘K</kbd>
          <Glyph name="more" className="hidden touch:block" />
        </Button>
      </div>
      <div className="relative mx-3 mb-1">
        <Glyph
          name="search"
          className="pointer-events-none absolute top-1/2 left-2 -translate-y-1/2 text-muted"
        />
        <input
          type="search"
          data-search
          value={search}
          onChange={(event) => setSearch(event.target.value)}
          placeholder="Search"
          aria-label="Search sessions"
          className="hit w-full rounded-control bg-line/35 px-2 pl-8 text-sm placeholder:text-muted"
        />
      </div>
      <Groups search={search} />
      <Link
        to="/environments"
        className="hit m-2 mt-0 flex items-center gap-2 rounded-control px-3 text-sm text-muted hover:bg-line/35 hover:text-text [&.active]:text-text"
      >
        Environments
      </Link>
      {shownCut ? (
        <p role="status" className="flex gap-2 border-t border-line p-3 text-sm text-warn">
          <Glyph name="half" className="mt-0.5" />
          Errand does not answer. Trying again.
        </p>
      ) : null}
    </nav>
  )
}

function Groups({ search }: { search: string }) {
  const sessions = useSessions()
  const { sessionId } = useParams({ strict: false })
  if (sessions.isPending) return <ListSkeleton />
  if (!sessions.data) {
    const error = describeError(sessions.error)
    return (
      <div className="min-h-0 flex-1 overflow-y-auto p-3">
        <Failure what="The list could not be read" why={error.message} reason={error.reason}>
          <Button onClick={() => void sessions.refetch()}>Try again</Button>
        </Failure>
      </div>
    )
  }
  const groups = grouped(sessions.data, search)
  return (
    <div className="min-h-0 flex-1 overflow-y-auto px-3 pb-4">
      {groups.length === 0 ? (
        <p className="px-2 py-3 text-sm text-muted">
          {search ? 'No session matches.' : 'No sessions yet. The first task starts one.'}
        </p>
      ) : null}
      {groups.map(([group, members]) => {
        const rows = members.map((session) => (
          <li key={session.id}>
            <SessionRow session={session} current={session.id === sessionId} />
          </li>
        ))
        return group === 'Archived' && !search ? (
          <details key={group} className="group/archived">
            <summary className="hit flex items-center gap-1 px-2 pt-3 pb-1 text-xs text-muted">
              <Glyph name="chevron" className="group-open/archived:rotate-90" />
              Archived {members.length}
            </summary>
            <ul>{rows}</ul>
          </details>
        ) : (
          <section key={group} aria-label={group}>
            <h2
              className={`px-2 pt-4 pb-1 text-xs font-medium ${group === 'Needs you' ? 'text-accent' : 'text-muted'}`}
            >
              {group} <span className="font-normal">{members.length}</span>
            </h2>
            <ul>{rows}</ul>
          </section>
        )
      })}
    </div>
  )
}

function ListSkeleton() {
  return (
    <div
      className="min-h-0 flex-1 overflow-hidden px-5 pt-5"
      role="status"
      aria-label="Loading sessions"
    >
      {[70, 85, 55, 75].map((width) => (
        <div key={width} className="flex h-[50px] flex-col justify-center gap-1.5">
          <span style={{ width: `${width}%` }}>
            <Skeleton className="h-3.5" />
          </span>
          <Skeleton className="h-3 w-1/2" />
        </div>
      ))}
    </div>
  )
}
