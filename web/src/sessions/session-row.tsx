// One session in the list: its state by shape and word, its title, and what came of it.
import { Link } from '@tanstack/react-router'
import type { SessionSummary } from '../../../src/protocol/api.ts'
import { classes } from '../ui/classes.ts'
import { Counts } from '../ui/counts.tsx'
import { plural } from '../ui/format.ts'
import { Glyph } from '../ui/glyph.tsx'
import { Ago } from '../ui/time.tsx'
import { lookOf } from './session-look.ts'
import { totalChanges } from './total-changes.ts'

export function SessionRow({ session, current }: { session: SessionSummary; current: boolean }) {
  const look = lookOf(session)
  const changes = totalChanges(session)
  return (
    <Link
      to="/sessions/$sessionId"
      params={{ sessionId: session.id }}
      aria-current={current ? 'page' : undefined}
      data-session-row={session.id}
      className={classes(
        'flex gap-2 rounded-control px-2 py-1.5 focus-visible:outline-offset-[-2px]',
        current ? 'bg-line/60' : 'hover:bg-line/35',
      )}
    >
      <Glyph name={look.glyph} className={`mt-[2.5px] ${look.color}`} />
      <span className="min-w-0 flex-1">
        <span className="block truncate">{session.title}</span>
        <span className="flex flex-wrap gap-x-1.5 text-xs whitespace-nowrap text-muted">
          <span className={look.glyph === 'diamond' ? 'text-accent' : undefined}>{look.word}</span>
          <span aria-hidden="true">·</span>
          <span className="max-w-max min-w-0 flex-1 basis-12 truncate">
            {session.repository.name}
          </span>
          {session.additional.length > 0 ? <span>+{session.additional.length}</span> : null}
          {changes ? (
            <Counts
              insertions={changes.insertions}
              deletions={changes.deletions}
              none={plural(changes.files, 'file')}
            />
          ) : null}
          {session.queued > 0 ? <span>{session.queued} queued</span> : null}
          <Ago at={session.updatedAt} className="ml-auto shrink-0 whitespace-nowrap" />
        </span>
      </span>
    </Link>
  )
}
