// The comments on changes that go along with the next message.
import { describePlace } from '../changes/review-comments.ts'
import type { Comments } from '../changes/use-comments.ts'
import { IconButton } from '../ui/button.tsx'
import { plural } from '../ui/format.ts'
import { Glyph } from '../ui/glyph.tsx'
import { useReturnFocus } from './use-return-focus.ts'

export function AttachedComments({ comments: { all, remove } }: { comments: Comments }) {
  const focus = useReturnFocus()
  return (
    <section {...focus} aria-label="Comments on the changes" className="mb-2">
      <h3 className="px-1 text-xs text-muted">
        {plural(all.length, 'comment')} on the changes, sent with the next message
      </h3>
      <ol className="max-h-[20dvh] overflow-y-auto">
        {all.map((comment) => (
          <li key={comment.id} className="flex animate-appear items-center gap-2 pl-1">
            <span className="code-text max-w-[45%] shrink-0 truncate text-xs text-muted">
              {describePlace(comment)}
            </span>
            <p className="min-w-0 flex-1 truncate text-sm">{comment.text}</p>
            <IconButton
              label={`Remove the comment on ${describePlace(comment)}`}
              onClick={() => remove(comment.id)}
            >
              <Glyph name="cross" />
            </IconButton>
          </li>
        ))}
      </ol>
    </section>
  )
}
