// Allow or deny one call of a tool, seeing exactly what would run.
import { CodeBlock } from '../timeline/code-block.tsx'
import { Button } from '../ui/button.tsx'
import { Input } from '../ui/field.tsx'
import type { ChoiceProps } from './question-panel.tsx'
import { useNumberKeys } from './use-number-keys.ts'

export function PermissionChoice({ question, busy, draft, onDraft, onAnswer }: ChoiceProps) {
  const answer = (allow: boolean) => onAnswer({ allow, answers: {}, message: draft.trim() })
  useNumberKeys((index) => {
    if (!busy && index < 2) answer(index === 0)
  })
  return (
    <div className="mt-2 flex flex-col gap-3">
      {question.detail ? <CodeBlock text={question.detail} /> : null}
      <div className="flex flex-wrap gap-2">
        <Button tone="accent" busy={busy} onClick={() => answer(true)} className="max-sm:flex-1">
          Allow <kbd className="text-xs font-normal max-sm:hidden">1</kbd>
        </Button>
        <Button busy={busy} onClick={() => answer(false)} className="max-sm:flex-1">
          Deny <kbd className="text-xs font-normal text-muted max-sm:hidden">2</kbd>
        </Button>
        <Input
          value={draft}
          onChange={(event) => onDraft(event.target.value)}
          aria-label="What to do instead"
          placeholder="When denied: what to do instead"
          className="flex-1 basis-56"
        />
      </div>
    </div>
  )
}
