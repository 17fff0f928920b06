// The changes of a session: its branch and how to fetch it, the commits, the files, and the diff.
import { useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import type { Diff } from '../../../src/protocol/api.ts'
import type { SessionState } from '../../../src/protocol/session.ts'
import { describeError } from '../app/api.ts'
import { useDiff } from '../app/queries.ts'
import { Button, IconButton } from '../ui/button.tsx'
import { Counts } from '../ui/counts.tsx'
import { Failure } from '../ui/failure.tsx'
import { plural } from '../ui/format.ts'
import { Glyph } from '../ui/glyph.tsx'
import { Skeleton } from '../ui/skeleton.tsx'
import { BranchBlock } from './branch-block.tsx'
import { CommitList } from './commit-list.tsx'
import { FileDiffs } from './file-diffs.tsx'
import { FileList } from './file-list.tsx'
import { type ChangedPlace, PlaceTabs, placesOf } from './place-tabs.tsx'

export function ChangesPanel({ session }: { session: SessionState }) {
  const navigate = useNavigate()
  const places = placesOf(session)
  const [chosen, choose] = useState<string | undefined>()
  const place = places.find(({ repository }) => repository === chosen) ?? places[0]
  const diff = useDiff(session.id, place.repository, place.changes?.commit ?? null)
  return (
    <section
      aria-label="Changes"
      className="flex min-h-0 w-full min-w-0 flex-col border-line bg-bg xl:w-[42%] xl:max-w-[820px] xl:border-l"
    >
      <header className="flex items-center gap-2 border-b border-line py-2 pr-2 pl-4">
        <h2 className="text-lg font-semibold">Changes</h2>
        {diff.data && diff.data.files.length > 0 ? (
          <>
            <Counts insertions={diff.data.insertions} deletions={diff.data.deletions} />
            <span className="text-sm text-muted">{plural(diff.data.files.length, 'file')}</span>
          </>
        ) : null}
        <IconButton
          label="Close (d)"
          className="ml-auto"
          onClick={() =>
            void navigate({
              to: '/sessions/$sessionId',
              params: { sessionId: session.id },
              search: {},
            })
          }
        >
          <Glyph name="cross" />
        </IconButton>
      </header>
      {places.length > 1 ? <PlaceTabs places={places} shown={place} onChoose={choose} /> : null}
      {diff.data ? (
        <Shown key={place.name} place={place} diff={diff.data} />
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
    </section>
  )
}

function Shown({ place, diff }: { place: ChangedPlace; diff: Diff }) {
  const [target, setTarget] = useState<{ path: string } | null>(null)
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
    <FileDiffs diff={diff} target={target}>
      <div className="flex flex-col gap-4 px-4 pt-3 pb-4">
        <BranchBlock repository={place} outward={place.outward} />
        <CommitList commits={diff.commits} />
        <FileList files={diff.files} onChoose={(path) => setTarget({ path })} />
        {diff.truncated ? (
          <p role="status" className="text-sm text-warn">
            The diff is too long to show in full: the branch has all of it.
          </p>
        ) : null}
      </div>
    </FileDiffs>
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
