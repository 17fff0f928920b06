// The changes of a session: its branch and how to fetch it, the commits, the files, and the diff.
import { Link } from '@tanstack/react-router'
import { useMemo, useState } from 'react'
import type { Diff } from '../../../src/protocol/api.ts'
import type { SessionState } from '../../../src/protocol/session.ts'
import { describeError } from '../app/api.ts'
import { useDiff } from '../app/queries.ts'
import { Button } from '../ui/button.tsx'
import { Counts } from '../ui/counts.tsx'
import { Failure } from '../ui/failure.tsx'
import { plural } from '../ui/format.ts'
import { Skeleton } from '../ui/skeleton.tsx'
import { BranchBlock } from './branch-block.tsx'
import { LINE_HINT_ID } from './changes-frame.tsx'
import { CommitList } from './commit-list.tsx'
import { FileDiffs } from './file-diffs.tsx'
import { FileList } from './file-list.tsx'
import { type ChangedPlace, PlaceTabs, placesOf } from './place-tabs.tsx'
import type { Comments } from './use-comments.ts'

export function ChangesPanel({ session, comments }: { session: SessionState; comments: Comments }) {
  const places = placesOf(session)
  const [chosen, choose] = useState<string | undefined>()
  const place = places.find(({ repository }) => repository === chosen) ?? places[0]
  const diff = useDiff(session.id, place.repository, place.changes?.commit ?? null)
  return (
    <>
      {places.length > 1 ? <PlaceTabs places={places} shown={place} onChoose={choose} /> : null}
      {diff.data ? (
        <Shown key={place.name} place={place} diff={diff.data} comments={comments} />
      ) : diff.isPending ? (
        <PanelSkeleton />
      ) : (
        <div className="p-4">
          <Failure
            what="The changes could not be read"
            why={describeError(diff.error).message}
            reason={describeError(diff.error).reason}
          >
            <Button onClick={() => void diff.refetch()}>Try again</Button>
          </Failure>
        </div>
      )}
      <WaitingComments sessionId={session.id} count={comments.all.length} />
    </>
  )
}

/** Where the composer is not beside the changes. */
function WaitingComments({ sessionId, count }: { sessionId: string; count: number }) {
  if (count === 0) return null
  return (
    <p className="flex items-center gap-3 border-t border-line px-4 py-2 text-sm xl:hidden">
      {plural(count, 'comment')} not sent yet
      <Link
        to="/sessions/$sessionId"
        params={{ sessionId }}
        search={{}}
        activeOptions={{ exact: true }}
        className="hit ml-auto inline-flex items-center rounded-control bg-ink px-3 font-medium text-on-ink hover:opacity-90"
      >
        Go on to the message
      </Link>
    </p>
  )
}

interface ShownProps {
  place: ChangedPlace
  diff: Diff
  comments: Comments
}

function Shown({ place, diff, comments }: ShownProps) {
  const [target, setTarget] = useState<{ path: string } | null>(null)
  const repository = place.repository ?? null
  const review = useMemo(
    () => ({ repository, commit: diff.head, comments }),
    [repository, diff.head, comments],
  )
  if (diff.files.length === 0)
    return (
      <div className="p-4">
        <p>Nothing has changed yet.</p>
        <p className="mt-1 text-muted">
          Changes show up here when the agent has committed them and pushed{' '}
          <span className="code-text">{place.branch}</span>.
        </p>
      </div>
    )
  return (
    <FileDiffs
      diff={diff}
      target={target}
      review={review}
      summary={<Summary place={place} diff={diff} />}
      list={
        diff.files.length > 1 ? (
          <FileList
            files={diff.files}
            target={target?.path ?? null}
            onChoose={(path) => setTarget({ path })}
          />
        ) : null
      }
    />
  )
}

function Summary({ place, diff }: Pick<ShownProps, 'place' | 'diff'>) {
  return (
    <div className="flex flex-col gap-4">
      <p className="flex items-center gap-2 text-sm text-muted">
        <Counts insertions={diff.insertions} deletions={diff.deletions} none="no lines in" />
        <span className="whitespace-nowrap">{plural(diff.files.length, 'file')}</span>
        <span id={LINE_HINT_ID} className="ml-auto text-right text-xs">
          To comment, press a line number<span className="touch:hidden">, or ↑ ↓ and ↵</span>
        </span>
      </p>
      <BranchBlock repository={place} outward={place.outward} />
      <CommitList commits={diff.commits} />
      {diff.truncated ? (
        <p role="status" className="text-sm text-warn">
          The diff is too long to show in full: the branch has all of it.
        </p>
      ) : null}
    </div>
  )
}

function PanelSkeleton() {
  return (
    <div className="flex flex-col gap-3 p-4" role="status" aria-label="Loading the changes">
      <Skeleton className="h-9" />
      <Skeleton className="h-4 w-2/3" />
      <Skeleton className="h-4 w-1/2" />
      <Skeleton className="h-40 rounded-card" />
    </div>
  )
}
