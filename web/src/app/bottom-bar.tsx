// The bar of a phone: which of the three zones is shown.
import { Link } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import type { SessionSummary } from '../../../src/protocol/api.ts'
import { totalChanges } from '../sessions/total-changes.ts'
import { classes } from '../ui/classes.ts'
import { Counts } from '../ui/counts.tsx'
import { plural } from '../ui/format.ts'
import { Glyph, type GlyphName } from '../ui/glyph.tsx'

/** `other`: a page, or a panel of a session, that is none of the three. */
export type Zone = 'sessions' | 'task' | 'changes' | 'other'

/** Only what is said here is marked, not each address that the one shown begins with. */
const EXACT = { exact: true }
const LOOK = 'flex min-h-[48px] flex-1 flex-col items-center justify-center gap-0.5 text-xs'

export function BottomBar({
  zone,
  waiting,
  sessionId,
  current,
}: {
  zone: Zone
  waiting: number
  /** Of the session that is shown. */
  sessionId: string | undefined
  /** The same in the list, which may not have it. */
  current: SessionSummary | undefined
}) {
  const look = (own: Zone) => classes(LOOK, zone === own ? 'font-medium text-text' : 'text-muted')
  const mark = (own: Zone) => (zone === own ? ('page' as const) : undefined)
  const session = sessionId === undefined ? undefined : { sessionId }
  const changes = current && totalChanges(current)
  return (
    <nav aria-label="Zones" className="safe-bottom flex border-t border-line bg-surface md:hidden">
      <Link
        to="/sessions"
        activeOptions={EXACT}
        className={look('sessions')}
        aria-current={mark('sessions')}
      >
        <Tab glyph={waiting > 0 ? 'diamond' : 'list'} accent={waiting > 0}>
          Sessions{waiting > 0 ? <span className="sr-only">, {waiting} need you</span> : null}
        </Tab>
      </Link>
      {session ? (
        <Link
          to="/sessions/$sessionId"
          params={session}
          activeOptions={EXACT}
          className={look('task')}
          aria-current={mark('task')}
        >
          <Tab glyph="text">Task</Tab>
        </Link>
      ) : (
        <Link to="/" className={look('task')} aria-current={mark('task')}>
          <Tab glyph="plus">New task</Tab>
        </Link>
      )}
      {session ? (
        <Link
          to="/sessions/$sessionId"
          params={session}
          search={{ panel: 'changes' }}
          activeOptions={EXACT}
          className={look('changes')}
          aria-current={mark('changes')}
        >
          <Tab glyph="diff">
            {changes ? (
              <>
                <span className="sr-only">Changes </span>
                <Counts
                  insertions={changes.insertions}
                  deletions={changes.deletions}
                  none={plural(changes.files, 'file')}
                />
              </>
            ) : (
              'Changes'
            )}
          </Tab>
        </Link>
      ) : null}
    </nav>
  )
}

function Tab({
  glyph,
  accent = false,
  children,
}: {
  glyph: GlyphName
  accent?: boolean
  children: ReactNode
}) {
  return (
    <>
      <Glyph name={glyph} className={accent ? 'text-accent' : ''} />
      <span>{children}</span>
    </>
  )
}
