// Draws patches with @pierre/diffs: highlighted in workers, and only what is in sight.
import { Virtualizer, WorkerPoolContextProvider } from '@pierre/diffs/react'
import DiffWorker from '@pierre/diffs/worker/worker.js?worker'
import { type ReactNode, useEffect, useRef } from 'react'
import { CHANGES_SCROLLER, ChangesFrame } from './changes-frame.tsx'
import { FileCard, type Review, THEME } from './file-card.tsx'
import type { FilePatch } from './split-patch.ts'

const POOL = { workerFactory: () => new DiffWorker(), poolSize: 2 }
const HIGHLIGHT = { theme: THEME }
/** Of more files only those near to what is in sight are drawn. */
const DRAW_ALL_FILES = 100

export function DiffColumn({
  patches,
  target,
  review,
  ...parts
}: {
  patches: readonly FilePatch[]
  target: { path: string } | null
  review: Review
  summary: ReactNode
  list: ReactNode
}) {
  const column = useRef<HTMLDivElement>(null)
  useEffect(() => {
    const index = patches.findIndex(({ path }) => path === target?.path)
    const card = column.current?.querySelector<HTMLElement>(`[data-file="${index}"]`)
    card?.scrollIntoView({ block: 'start' })
    card?.focus({ preventScroll: true })
  }, [target, patches])
  return (
    <WorkerPoolContextProvider poolOptions={POOL} highlighterOptions={HIGHLIGHT}>
      <Virtualizer className={`diff-column ${CHANGES_SCROLLER}`}>
        <ChangesFrame {...parts}>
          <div ref={column} className="flex flex-col gap-3">
            {patches.map((one, index) => (
              <FileCard
                key={one.path}
                index={index}
                patch={one}
                review={review}
                atOnce={patches.length <= DRAW_ALL_FILES}
              />
            ))}
          </div>
        </ChangesFrame>
      </Virtualizer>
    </WorkerPoolContextProvider>
  )
}
