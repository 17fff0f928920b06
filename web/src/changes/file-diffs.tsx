// The diffs of all files in one scrolling column, with what is handed in above and beside. The renderer is loaded when it is first
// needed.
import { lazy, type ReactNode, Suspense, useMemo } from 'react'
import type { Diff } from '../../../src/protocol/api.ts'
import { Skeleton } from '../ui/skeleton.tsx'
import { CHANGES_SCROLLER, ChangesFrame } from './changes-frame.tsx'
import type { Review } from './file-card.tsx'
import { splitPatch } from './split-patch.ts'

const DiffColumn = lazy(() =>
  import('./diff-column.tsx').then((part) => ({ default: part.DiffColumn })),
)

export function FileDiffs({
  diff,
  target,
  review,
  ...parts
}: {
  diff: Diff
  target: { path: string } | null
  review: Review
  summary: ReactNode
  list: ReactNode
}) {
  const patches = useMemo(() => splitPatch(diff.patch), [diff.patch])
  const waiting = (
    <div className={CHANGES_SCROLLER}>
      <ChangesFrame {...parts}>
        <div role="status" aria-label="Loading the diff">
          <Skeleton className="h-56 rounded-card" />
        </div>
      </ChangesFrame>
    </div>
  )
  return (
    <Suspense fallback={waiting}>
      <DiffColumn patches={patches} target={target} review={review} {...parts} />
    </Suspense>
  )
}
