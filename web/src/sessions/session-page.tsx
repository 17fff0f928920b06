// One session: its head, its timeline, what it needs from somebody, the composer, and the changes beside them.
import { useQueryClient } from '@tanstack/react-query'
import { useParams, useSearch } from '@tanstack/react-router'
import { useEffect, useMemo } from 'react'
import type { SessionView } from '../../../src/protocol/apply-event.ts'
import type { SessionState } from '../../../src/protocol/session.ts'
import { keys } from '../app/queries.ts'
import { useComments } from '../changes/use-comments.ts'
import { useDraft } from '../composer/use-draft.ts'
import { promptOf, toRows } from '../timeline/rows.ts'
import { Timeline } from '../timeline/timeline.tsx'
import { SessionFoot } from './session-foot.tsx'
import { SessionHeader } from './session-header.tsx'
import { LoadFailure, SessionSkeleton } from './session-placeholders.tsx'
import { type PanelName, SidePanel } from './side-panel.tsx'
import { totalChanges } from './total-changes.ts'
import { type FollowedSession, useSession } from './use-session.ts'
import { useSessionRequests } from './use-session-requests.ts'

export function SessionPage() {
  const { sessionId } = useParams({ from: '/sessions/$sessionId' })
  const { panel } = useSearch({ from: '/sessions/$sessionId' })
  const followed = useSession(sessionId)
  const { session } = followed.view
  useListRefresh(session)
  if (session)
    return (
      <LoadedSession
        key={sessionId}
        session={session}
        view={followed.view}
        followed={followed}
        panel={panel ?? null}
      />
    )
  return followed.connection.state === 'failed' ? (
    <LoadFailure id={sessionId} error={followed.connection.error} onRetry={followed.reconnect} />
  ) : (
    <SessionSkeleton reconnecting={followed.connection.state === 'reconnecting'} />
  )
}

function LoadedSession({
  session,
  view,
  followed,
  panel,
}: {
  session: SessionState
  view: SessionView
  followed: FollowedSession & { reconnect: () => void }
  panel: PanelName | null
}) {
  const draft = useDraft(session.id)
  const comments = useComments(session.id)
  const requests = useSessionRequests(session.id, draft[1])
  const rows = useMemo(() => toRows(view.timeline), [view.timeline])
  const { retry, stop, takeBack } = requests
  const actions = {
    failed: session.status === 'failed',
    onRetry: () => retry.mutate(),
    onAllow: requests.allow.mutate,
    onGrant: requests.changeGrants.mutate,
    onStop: () => stop.mutate(),
    onTakeBack: takeBack,
    onSendAgain: (turnId: string) => {
      const prompt = promptOf(rows, turnId)
      if (prompt) requests.sendAgain(prompt)
    },
  }
  return (
    <div className="flex h-full min-h-0">
      <section
        aria-label="Task"
        className={`flex min-w-0 flex-1 flex-col ${panel ? 'max-xl:hidden' : ''}`}
      >
        <SessionHeader
          session={session}
          place={followed.place}
          requests={requests}
          changesOpen={panel === 'changes'}
        />
        <Timeline
          rows={rows}
          liveText={followed.live?.text ?? null}
          active={session.turn !== null && session.status !== 'failed'}
          actions={actions}
        />
        <SessionFoot
          session={session}
          rows={rows}
          draft={draft}
          comments={comments}
          requests={requests}
          followed={followed}
        />
      </section>
      {panel ? (
        <SidePanel session={session} panel={panel} requests={requests} comments={comments} />
      ) : null}
    </div>
  )
}

/** The list is asked again when something happened here that it shows. */
function useListRefresh(session: SessionState | null): void {
  const queries = useQueryClient()
  const shown = session
    ? [
        session.status,
        session.title,
        session.sandbox.state,
        totalChanges(session)?.commits,
        session.questions.length,
      ].join()
    : ''
  // biome-ignore lint/correctness/useExhaustiveDependencies: `shown` is what the list depends on
  useEffect(() => {
    void queries.invalidateQueries({ queryKey: keys.sessions })
  }, [queries, shown])
}
