// A comment below the lines that it is about: while it is written, and once it waits to be sent.
import { type KeyboardEvent, useEffect, useRef } from 'react'
import { Button, IconButton } from '../ui/button.tsx'
import { Glyph } from '../ui/glyph.tsx'
import { describePlace, type ReviewComment } from './review-comments.ts'
import type { WrittenComment } from './use-comments.ts'

const FRAME = 'my-1.5 mr-2 ml-2 rounded-control border bg-raised font-sans text-sm'

export function CommentDraft({
  written: { place, text },
  focused,
  onChange,
  onAdd,
  onCancel,
}: {
  written: WrittenComment
  /** Whether somebody has just opened it. */
  focused: boolean
  onChange: (text: string) => void
  onAdd: () => void
  onCancel: () => void
}) {
  const box = useRef<HTMLTextAreaElement>(null)
  const where = describePlace(place)
  // biome-ignore lint/correctness/useExhaustiveDependencies: again when it is opened at another place
  useEffect(() => {
    if (focused) box.current?.focus()
  }, [focused, where])
  const add = () => {
    if (text.trim()) onAdd()
  }
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.nativeEvent.isComposing) return
    if (event.key === 'Enter' && !event.shiftKey) {
      event.preventDefault()
      add()
    } else if (event.key === 'Escape') {
      event.preventDefault()
      onCancel()
    }
  }
  return (
    <div className={`${FRAME} animate-appear border-control/60 focus-within:border-text`}>
      <textarea
        ref={box}
        rows={2}
        value={text}
        onChange={(event) => onChange(event.target.value)}
        onKeyDown={onKeyDown}
        aria-label={`Comment on ${where}`}
        placeholder="What should be different here?"
        className="block w-full resize-none bg-transparent px-3 pt-2 leading-normal outline-none field-sizing-content placeholder:text-muted"
      />
      <div className="flex items-center gap-1.5 p-1.5">
        <span className="min-w-0 flex-1 truncate pl-1.5 text-xs text-muted">{where}</span>
        <Button tone="quiet" onClick={onCancel}>
          Cancel
        </Button>
        <Button onClick={add} disabled={!text.trim()}>
          Add comment
        </Button>
      </div>
    </div>
  )
}

export function KeptComment({
  comment,
  onRemove,
}: {
  comment: ReviewComment
  onRemove: () => void
}) {
  return (
    <div className={`${FRAME} flex items-start gap-2 border-line py-1 pr-1 pl-3`}>
      <p className="min-w-0 flex-1 py-1.5 whitespace-pre-wrap [overflow-wrap:anywhere]">
        {comment.text}
        <span className="block text-xs text-muted">not sent yet</span>
      </p>
      <IconButton label={`Remove the comment on ${describePlace(comment)}`} onClick={onRemove}>
        <Glyph name="cross" />
      </IconButton>
    </div>
  )
}
