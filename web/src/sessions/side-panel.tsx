// What stands beside the timeline: the changes of a session, or what it reaches. On a phone it is a zone of its own.
import { Link, useNavigate } from '@tanstack/react-router'
import { useRef } from 'react'
import type { SessionState } from '../../../src/protocol/session.ts'
import { ChangesPanel } from '../changes/changes-panel.tsx'
import type { Comments } from '../changes/use-comments.ts'
import { NetworkPanel } from '../network/network-panel.tsx'
import { IconButton } from '../ui/button.tsx'
import { classes } from '../ui/classes.ts'
import { Glyph } from '../ui/glyph.tsx'
import { usePanelFocus } from './use-panel-focus.ts'
import type { SessionRequests } from './use-session-requests.ts'

const PANELS = { changes: 'Changes', network: 'Network' } as const
export type PanelName = keyof typeof PANELS

export function SidePanel({
  session,
  panel,
  requests,
  comments,
}: {
  session: SessionState
  panel: PanelName
  requests: SessionRequests
  comments: Comments
}) {
  const navigate = useNavigate()
  const section = useRef<HTMLElement>(null)
  usePanelFocus(section)
  const address = { to: '/sessions/$sessionId', params: { sessionId: session.id } } as const
  return (
    <section
      ref={section}
      tabIndex={-1}
      aria-label={PANELS[panel]}
      className="flex focus-visible:outline-offset-[-2px] min-h-0 w-full min-w-0 flex-col border-line bg-bg xl:w-[max(40vw,36rem)] xl:max-w-[960px] xl:shrink-0 xl:border-l"
    >
      <header className="flex items-center gap-1 border-b border-line py-2 pr-2 pl-2">
        <nav aria-label="Beside the timeline" className="flex min-w-0 flex-wrap gap-1">
          {(Object.keys(PANELS) as PanelName[]).map((name) => (
            <Link
              key={name}
              {...address}
              search={{ panel: name }}
              aria-current={name === panel ? 'page' : undefined}
              className={classes(
                'hit inline-flex items-center rounded-control px-2.5 hover:bg-surface',
                name === panel ? 'font-semibold' : 'text-muted',
              )}
            >
              {PANELS[name]}
            </Link>
          ))}
        </nav>
        <IconButton
          label={panel === 'changes' ? 'Close (d)' : 'Close'}
          className="ml-auto shrink-0"
          onClick={() => void navigate({ ...address, search: {} })}
        >
          <Glyph name="cross" />
        </IconButton>
      </header>
      {panel === 'changes' ? (
        <ChangesPanel session={session} comments={comments} />
      ) : (
        <NetworkPanel session={session} requests={requests} />
      )}
    </section>
  )
}
