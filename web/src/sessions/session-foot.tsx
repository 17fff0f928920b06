// The foot of a session: what went wrong with a request, what the agent needs, and the composer.
import { useEffect, useState } from 'react'
import type { Place } from '../../../src/protocol/api.ts'
import type { SessionState } from '../../../src/protocol/session.ts'
import { describeError, isUnanswered } from '../app/api.ts'
import { useShortcuts } from '../app/keyboard.ts'
import type { Comments } from '../changes/use-comments.ts'
import { FollowUp } from '../composer/follow-up.tsx'
import { InterruptBar } from '../composer/interrupt-bar.tsx'
import { QuestionPanel } from '../composer/question-panel.tsx'
import type { SetDraft } from '../composer/use-draft.ts'
import { type Row, shownTurns } from '../timeline/rows.ts'
import { Button } from '../ui/button.tsx'
import { Failure } from '../ui/failure.tsx'
import { Glyph } from '../ui/glyph.tsx'
import { useLasting } from '../ui/use-lasting.ts'
import { OutwardBars } from './outward-bar.tsx'
import type { FollowedSession } from './use-session.ts'
import type { SessionRequests } from './use-session-requests.ts'

export function SessionFoot({
  session,
  rows,
  draft,
  comments,
  requests,
  followed,
}: {
  session: SessionState
  rows: readonly Row[]
  draft: [string, SetDraft]
  comments: Comments
  requests: SessionRequests
  followed: FollowedSession & { reconnect: () => void }
}) {
  const [asking, setAsking] = useState<string | null>(null)
  const interruptible = session.turn?.interruptRequested === false ? session.turn.id : null
  const onEscape = () => setAsking(asking === interruptible ? null : interruptible)
  useShortcuts({ Escape: onEscape })
  const [question, ...others] = session.questions
  const shown = shownTurns(rows)
  const isThere = (turnId: string) =>
    shown.has(turnId) || session.queue.some(({ id }) => id === turnId)
  const queued = session.queue.filter((turn) => !shown.has(turn.id))
  return (
    <footer className="overflow-y-auto px-4 pt-1 pb-3 sm:px-6">
      <div className="mx-auto max-w-[760px]">
        <Connection followed={followed} />
        <RequestFailures session={session} requests={requests} />
        {session.status === 'queued' ? <WaitingForSlot place={followed.place} /> : null}
        <OutwardBars session={session} rows={rows} push={requests.push} />
        {interruptible !== null && asking === interruptible ? (
          <InterruptBar
            key={interruptible}
            onInterrupt={() => {
              setAsking(null)
              requests.interrupt.mutate({ turnId: interruptible })
            }}
            onCancel={() => setAsking(null)}
          />
        ) : null}
        {question ? (
          <QuestionPanel
            key={question.id}
            question={question}
            more={others.length}
            requests={requests}
          />
        ) : null}
        {session.status === 'archived' ? (
          <Archived requests={requests} />
        ) : (
          <FollowUp
            session={session}
            draft={draft}
            comments={comments}
            queued={queued}
            isThere={isThere}
            requests={requests}
            onEscape={onEscape}
          />
        )}
      </div>
    </footer>
  )
}

function Connection({ followed }: { followed: FollowedSession & { reconnect: () => void } }) {
  const { state, error } = followed.connection
  const reconnecting = useLasting(state === 'reconnecting')
  if (reconnecting)
    return (
      <p role="status" className="mb-2 flex flex-wrap items-center gap-2 text-sm text-warn">
        <Glyph name="half" />
        <span className="min-w-0 flex-1 basis-40">
          The connection was cut. What happens meanwhile is shown when it is back.
        </span>
        <Button tone="quiet" className="-my-1 px-2" onClick={followed.reconnect}>
          Connect now
        </Button>
      </p>
    )
  if (state !== 'failed') return null
  return (
    <div className="mb-2">
      <Failure what="This is no longer live" why={error?.message} reason={error?.reason ?? null}>
        <Button onClick={followed.reconnect}>Connect again</Button>
      </Failure>
    </div>
  )
}

function WaitingForSlot({ place }: { place: Place | null }) {
  return (
    <p role="status" className="mb-2 flex items-center gap-2 px-1 text-sm text-muted">
      <Glyph name="ring" />
      Waiting for a free slot{place ? `, place ${place.number} of ${place.of}` : ''}
    </p>
  )
}

const NAMES = {
  interrupt: 'The turn was not interrupted',
  stop: 'The sandbox was not stopped',
  retry: 'It was not started again',
  push: 'It was not pushed again',
  allow: 'It was not allowed',
  archive: 'The session was not archived',
  unarchive: 'The session was not brought back',
  remove: 'The session was not removed',
  change: 'The change was not taken',
  withdraw: 'The message was not taken back',
} as const

/** Refusals that say that there was nothing left to do, as to the second press of a button that was pressed twice. */
const DONE_ALREADY: ReadonlySet<string> = new Set([
  'nothing_failed',
  'nothing_kept',
  'nothing_to_allow',
])

/** Whether a session is as it was asked to be, where it can be seen of it. */
const IS_DONE: Partial<
  Record<keyof typeof NAMES, (session: SessionState, requests: SessionRequests) => boolean>
> = {
  interrupt: ({ turn }, { interrupt: { variables: asked } }) =>
    turn?.id !== asked?.turnId || turn?.interruptRequested === true,
  stop: ({ turn, sandbox }) => turn === null && !['preparing', 'ready'].includes(sandbox.state),
  retry: ({ status }) => status !== 'failed',
  archive: ({ status }) => status === 'archived',
  unarchive: ({ status }) => status !== 'archived',
  change: (session, { change: { variables: asked = {} } }) =>
    (['title', 'mode', 'model'] as const).every(
      (name) => asked[name] === undefined || asked[name] === session[name],
    ) && asked.network === undefined,
}

function RequestFailures({
  session,
  requests,
}: {
  session: SessionState
  requests: SessionRequests
}) {
  const names = Object.keys(NAMES) as (keyof typeof NAMES)[]
  // Only the answer was lost.
  useEffect(() => {
    for (const name of names) {
      const { error, reset } = requests[name]
      if (error && isUnanswered(error) && IS_DONE[name]?.(session, requests)) reset()
    }
  })
  return names.map((name) => {
    const request = requests[name]
    if (!request.error) return null
    const error = describeError(request.error)
    if (DONE_ALREADY.has(error.reason)) return null
    return (
      <div key={name} className="mb-2">
        <Failure what={NAMES[name]} why={error.message} reason={error.reason}>
          <Button onClick={request.reset}>Close</Button>
        </Failure>
      </div>
    )
  })
}

function Archived({ requests }: { requests: SessionRequests }) {
  return (
    <p className="flex flex-wrap items-center gap-x-3 gap-y-1 rounded-card bg-surface px-4 py-2.5 text-muted">
      This session is archived.
      <Button className="ml-auto" onClick={() => requests.unarchive.mutate()}>
        Bring it back
      </Button>
    </p>
  )
}
