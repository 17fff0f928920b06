// The diffs of all files in one scrolling column, below what is handed in. The renderer is loaded when it is first needed.
import { lazy, type ReactNode, Suspense, useMemo } from 'react'
import type { Diff } from '../../../src/protocol/api.ts'
import { Skeleton } from '../ui/skeleton.tsx'
import type { Review } from './diff-column.tsx'
import { splitPatch } from './split-patch.ts'

const DiffColumn = lazy(() =>
  import('./diff-column.tsx').then((part) => ({ default: part.DiffColumn })),
)

export function FileDiffs({
  diff,
  target,
  review,
  children,
}: {
  diff: Diff
  target: { path: string } | null
  review: Review
  children: ReactNode
}) {
  const patches = useMemo(() => splitPatch(diff.patch), [diff.patch])
  const waiting = (
    <div className="min-h-0 flex-1 overflow-y-auto">
      {children}
      <div className="px-4" role="status" aria-label="Loading the diff">
        <Skeleton className="h-56 rounded-card" />
      </div>
    </div>
  )
  return (
    <Suspense fallback={waiting}>
      <DiffColumn patches={patches} target={target} review={review}>
        {children}
      </DiffColumn>
    </Suspense>
  )
}
