// Approve a plan, or send it back with what should be different.
import { Button } from '../ui/button.tsx'
import { Input } from '../ui/field.tsx'
import { Markdown } from '../ui/markdown.tsx'
import type { ChoiceProps } from './question-panel.tsx'
import { useNumberKeys } from './use-number-keys.ts'

export function PlanChoice({ question, busy, draft, onDraft, onAnswer }: ChoiceProps) {
  const answer = (allow: boolean) => onAnswer({ allow, answers: {}, message: draft.trim() })
  useNumberKeys((index) => {
    if (!busy && index < 2) answer(index === 0)
  })
  return (
    <div className="mt-2 flex flex-col gap-3">
      <div className="rounded-control bg-raised p-3">
        {question.detail.trim() ? (
          <Markdown text={question.detail} />
        ) : (
          <p className="text-muted">
            The agent has not written its plan down. What it said about it is above.
          </p>
        )}
      </div>
      <div className="flex flex-wrap gap-2">
        <Button tone="accent" busy={busy} onClick={() => answer(true)} className="max-sm:flex-1">
          Approve and work <kbd className="text-xs font-normal max-sm:hidden">1</kbd>
        </Button>
        <Button busy={busy} onClick={() => answer(false)} className="max-sm:flex-1">
          Send back <kbd className="text-xs font-normal text-muted max-sm:hidden">2</kbd>
        </Button>
        <Input
          value={draft}
          onChange={(event) => onDraft(event.target.value)}
          aria-label="What should be different"
          placeholder="When sent back: what to change"
          className="flex-1 basis-56"
        />
      </div>
    </div>
  )
}
