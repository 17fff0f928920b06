// One file of a diff: its head, its lines, and the comments on them. A press on a line number, or on the sign beside a line, opens
// a comment there; on touch screens a press on the line; by keyboard see `useLineKeys`.
import {
  type DiffLineAnnotation,
  type FileDiffMetadata,
  getSingularPatch,
  type SelectedLineRange,
} from '@pierre/diffs'
import { FileDiff } from '@pierre/diffs/react'
import { memo, type ReactNode, type RefObject, useEffect, useMemo, useRef, useState } from 'react'
import { Button } from '../ui/button.tsx'
import { Counts } from '../ui/counts.tsx'
import { plainText } from '../ui/plain-text.ts'
import { LINE_HINT_ID } from './changes-frame.tsx'
import { CommentDraft, KeptComment } from './comment-box.tsx'
import { type CommentPlace, placeOf, type ReviewComment } from './review-comments.ts'
import type { FilePatch } from './split-patch.ts'
import { type Comments, useWrittenComment, type WrittenComment } from './use-comments.ts'
import { useLineKeys } from './use-line-keys.ts'

export const THEME = { light: 'github-light-default', dark: 'github-dark-default' } as const
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

/** What is being written (null), or a comment that waits. */
type Annotation = DiffLineAnnotation<ReviewComment | null>

interface FileCardProps {
  index: number
  patch: FilePatch
  review: Review
  /** Also where it is far from what is in sight. */
  atOnce: boolean
}

/** There may be hundreds of them, and what stands around them is drawn anew with every key that somebody presses. */
export const FileCard = memo(({ index, patch: found, review, atOnce }: FileCardProps) => {
  const { path, patch, binary } = found
  const { repository, commit, comments } = review
  const card = useRef<HTMLElement>(null)
  const header = useRef<HTMLButtonElement>(null)
  const file = useMemo(() => getSingularPatch(patch), [patch])
  const [writing, write] = useWrittenComment(comments, { repository, path })
  const opened = useRef(false)
  const open = (range: SelectedLineRange) => {
    opened.current = true
    // What is written goes along to another line.
    write({ place: placeOf({ repository, path }, range), commit, text: writing?.text ?? '' })
  }
  const keys = useLineKeys(card, file, open)
  const options = useDiffOptions(open)
  const close = () => {
    write(null)
    const opener = keys.selected ? card : header
    opener.current?.focus({ preventScroll: true })
  }
  const isNear = useNear(card, atOnce)
  const drawn = useAnnotations({ path, review, writing, write, opened, close })
  return (
    <article
      ref={card}
      data-file={index}
      data-path={path}
      aria-label={plainText(path)}
      aria-describedby={LINE_HINT_ID}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: its lines are chosen by arrow keys
      tabIndex={0}
      className="scroll-mt-2 overflow-clip rounded-card border border-line focus-visible:outline-offset-[-2px]"
      {...keys.handlers}
    >
      {isNear ? null : <Undrawn patch={found} />}
      {isNear ? (
        <FileDiff
          fileDiff={file}
          options={options}
          {...drawn}
          selectedLines={keys.selected}
          renderCustomHeader={() => (
            <FileHeader path={path} file={file} binary={binary}>
              <Button
                ref={header}
                tone="quiet"
                className="-my-1 -mr-2 px-2 text-xs"
                aria-label={`Comment on ${plainText(path)}`}
                onClick={() => {
                  keys.release()
                  open({ start: 0, end: 0 })
                }}
              >
                Comment
              </Button>
            </FileHeader>
          )}
        />
      ) : null}
      <p role="status" className="sr-only">
        {keys.said}
      </p>
    </article>
  )
})

const NEAR = { rootMargin: '1000px 0px' }

/** From the first time on that it is near to what is in sight. */
function useNear(card: RefObject<HTMLElement | null>, atOnce: boolean): boolean {
  const [isNear, setNear] = useState(false)
  useEffect(() => {
    const element = card.current
    if (isNear || atOnce || !element) return
    const look = (seen: IntersectionObserverEntry[]) =>
      setNear(seen.some(({ isIntersecting }) => isIntersecting))
    const root = element.closest('.diff-column')
    const observer = new IntersectionObserver(look, { root, ...NEAR })
    observer.observe(element)
    return () => observer.disconnect()
  }, [card, isNear, atOnce])
  return isNear || atOnce
}

const LINE_PX = 20

/** Has about the height of what will stand there. */
function Undrawn({ patch: { path, patch } }: { patch: FilePatch }) {
  const lines = patch.split('\n').length
  return (
    <p className="code-text truncate px-3 py-1.5" style={{ minHeight: lines * LINE_PX }}>
      {plainText(path)}
    </p>
  )
}

/** They stay the same object: the renderer begins anew with other ones. */
function useDiffOptions(open: (range: SelectedLineRange) => void) {
  const latest = useRef(open)
  latest.current = open
  return useMemo(() => {
    const press = (at: { lineNumber: number; annotationSide: CommentPlace['side'] }) =>
      latest.current({ start: at.lineNumber, end: at.lineNumber, side: at.annotationSide })
    const onGutterUtilityClick = (range: SelectedLineRange) => latest.current(range)
    const isTouch = window.matchMedia('(pointer: coarse)').matches
    return {
      ...OPTIONS,
      ...{ onLineNumberClick: press, onGutterUtilityClick },
      ...(isTouch ? { onLineClick: press } : { enableGutterUtility: true }),
    }
  }, [])
}

function useAnnotations({
  path,
  review: { repository, comments },
  writing,
  write,
  opened,
  close,
}: {
  path: string
  review: Review
  writing: WrittenComment | null
  write: (written: WrittenComment) => void
  opened: RefObject<boolean>
  close: () => void
}) {
  const own = comments.all.filter((one) => one.path === path && one.repository === repository)
  const lineAnnotations: Annotation[] = [
    ...own.map((one) => ({ side: one.side, lineNumber: one.to, metadata: one })),
    ...(writing
      ? [{ side: writing.place.side, lineNumber: writing.place.to, metadata: null }]
      : []),
  ]
  const renderAnnotation = ({ metadata }: Annotation) => {
    if (metadata)
      return <KeptComment comment={metadata} onRemove={() => comments.remove(metadata.id)} />
    if (!writing) return null
    const add = () => {
      comments.add(writing.place, writing.commit, writing.text.trim())
      close()
    }
    return (
      <CommentDraft
        written={writing}
        focused={opened.current}
        onChange={(text) => write({ ...writing, text })}
        onAdd={add}
        onCancel={close}
      />
    )
  }
  return { lineAnnotations, renderAnnotation }
}

function FileHeader({
  path,
  file,
  binary,
  children,
}: {
  path: string
  file: FileDiffMetadata
  binary: boolean
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
        none={binary ? 'binary' : undefined}
      />
      {children}
    </div>
  )
}
