// Draws patches with @pierre/diffs: highlighted in workers, and only what is in sight.
import type { DiffLineAnnotation, FileDiffMetadata, SelectedLineRange } from '@pierre/diffs'
import { PatchDiff, Virtualizer, WorkerPoolContextProvider } from '@pierre/diffs/react'
import DiffWorker from '@pierre/diffs/worker/worker.js?worker'
import { type ReactNode, useEffect, useMemo, useRef, useState } from 'react'
import { Button } from '../ui/button.tsx'
import { Counts } from '../ui/counts.tsx'
import { plainText } from '../ui/plain-text.ts'
import { CHANGES_SCROLLER, ChangesFrame } from './changes-frame.tsx'
import { CommentDraft, KeptComment } from './comment-box.tsx'
import { type CommentPlace, placeOf, type ReviewComment } from './review-comments.ts'
import type { FilePatch } from './split-patch.ts'
import type { Comments } from './use-comments.ts'

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

/** Whose changes these are, and the comments on them. */
export interface Review {
  /** Which of the additional repositories; null for the main one. */
  repository: string | null
  commit: string
  comments: Comments
}

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
            {patches.map(({ path, patch }, index) => (
              <div
                key={path}
                data-file={index}
                tabIndex={-1}
                className="scroll-mt-2 overflow-clip rounded-card border border-line focus-visible:outline-offset-[-2px]"
              >
                <FilePatchDiff path={path} patch={patch} review={review} />
              </div>
            ))}
          </div>
        </ChangesFrame>
      </Virtualizer>
    </WorkerPoolContextProvider>
  )
}

/** What is being written (null), or a comment that waits. */
type Annotation = DiffLineAnnotation<ReviewComment | null>

/** A press on a line number, or on the sign beside a line, opens a comment there; on touch screens a press on the line. */
function FilePatchDiff({ path, patch, review }: { path: string; patch: string; review: Review }) {
  const { repository, commit, comments } = review
  const [writing, setWriting] = useState<CommentPlace | null>(null)
  const options = useMemo(() => {
    const open = (range: SelectedLineRange) => setWriting(placeOf({ repository, path }, range))
    const press = (at: { lineNumber: number; annotationSide: CommentPlace['side'] }) =>
      open({ start: at.lineNumber, end: at.lineNumber, side: at.annotationSide })
    const isTouch = window.matchMedia('(pointer: coarse)').matches
    return {
      ...OPTIONS,
      ...{ onLineNumberClick: press, onGutterUtilityClick: open },
      ...(isTouch ? { onLineClick: press } : { enableGutterUtility: true }),
    }
  }, [repository, path])
  const header = useRef<HTMLButtonElement>(null)
  const close = () => {
    setWriting(null)
    header.current?.focus({ preventScroll: true })
  }
  const own = comments.all.filter((one) => one.path === path && one.repository === repository)
  const annotations: Annotation[] = [
    ...own.map((one) => ({ side: one.side, lineNumber: one.to, metadata: one })),
    ...(writing ? [{ side: writing.side, lineNumber: writing.to, metadata: null }] : []),
  ]
  const draw = ({ metadata }: Annotation) => {
    if (metadata)
      return <KeptComment comment={metadata} onRemove={() => comments.remove(metadata.id)} />
    if (!writing) return null
    const add = (text: string) => {
      comments.add(writing, commit, text)
      close()
    }
    return <CommentDraft place={writing} onAdd={add} onCancel={close} />
  }
  return (
    <PatchDiff
      patch={patch}
      options={options}
      lineAnnotations={annotations}
      renderAnnotation={draw}
      renderCustomHeader={(file) => (
        <FileHeader path={path} file={file}>
          <Button
            ref={header}
            tone="quiet"
            className="-my-1 -mr-2 px-2 text-xs"
            aria-label={`Comment on ${plainText(path)}`}
            onClick={() => setWriting(placeOf({ repository, path }, { start: 0, end: 0 }))}
          >
            Comment
          </Button>
        </FileHeader>
      )}
    />
  )
}

function FileHeader({
  path,
  file,
  children,
}: {
  path: string
  file: FileDiffMetadata
  children: ReactNode
}) {
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
      {children}
    </div>
  )
}
