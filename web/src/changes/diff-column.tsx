// Draws patches with @pierre/diffs: highlighted in workers, and only what is in sight.
import type { FileDiffMetadata } from '@pierre/diffs'
import { PatchDiff, Virtualizer, WorkerPoolContextProvider } from '@pierre/diffs/react'
import DiffWorker from '@pierre/diffs/worker/worker.js?worker'
import { type ReactNode, useEffect, useRef } from 'react'
import { Counts } from '../ui/counts.tsx'
import { plainText } from '../ui/plain-text.ts'
import type { FilePatch } from './split-patch.ts'

const THEME = { light: 'github-light-default', dark: 'github-dark-default' } as const
const POOL = { workerFactory: () => new DiffWorker(), poolSize: 2 }
const HIGHLIGHT = { theme: THEME }
const OPTIONS = {
  theme: THEME,
  themeType: 'system',
  diffStyle: 'unified',
  overflow: 'wrap',
  hunkSeparators: 'simple',
  stickyHeader: true,
} as const

export function DiffColumn({
  patches,
  target,
  children,
}: {
  patches: readonly FilePatch[]
  target: { path: string } | null
  children: ReactNode
}) {
  const column = useRef<HTMLDivElement>(null)
  useEffect(() => {
    const index = patches.findIndex(({ path }) => path === target?.path)
    if (index < 0) return
    column.current?.querySelector(`[data-file="${index}"]`)?.scrollIntoView({ block: 'start' })
  }, [target, patches])
  return (
    <WorkerPoolContextProvider poolOptions={POOL} highlighterOptions={HIGHLIGHT}>
      <Virtualizer className="diff-column min-h-0 flex-1 overflow-y-auto">
        {children}
        <div ref={column} className="flex flex-col gap-3 px-2 pb-6 sm:px-4">
          {patches.map(({ path, patch }, index) => (
            <div
              key={path}
              data-file={index}
              className="scroll-mt-2 overflow-clip rounded-card border border-line"
            >
              <PatchDiff
                patch={patch}
                options={OPTIONS}
                renderCustomHeader={(file) => <FileHeader path={path} file={file} />}
              />
            </div>
          ))}
        </div>
      </Virtualizer>
    </WorkerPoolContextProvider>
  )
}

function FileHeader({ path, file }: { path: string; file: FileDiffMetadata }) {
  const sum = (count: (hunk: FileDiffMetadata['hunks'][number]) => number) =>
    file.hunks.reduce((total, hunk) => total + count(hunk), 0)
  return (
    <div className="flex items-center gap-2 border-b border-line bg-surface px-3 py-1.5">
      <span className="code-text min-w-0 truncate" title={plainText(path)}>
        {plainText(path)}
      </span>
      <Counts
        className="ml-auto text-xs"
        insertions={sum((hunk) => hunk.additionLines)}
        deletions={sum((hunk) => hunk.deletionLines)}
      />
    </div>
  )
}
