// What somebody asked for.
import type { TimelineItem } from '../../../src/protocol/timeline.ts'
import { Button } from '../ui/button.tsx'
import { Ago, Since } from '../ui/time.tsx'

type Prompt = Extract<TimelineItem, { kind: 'prompt' }>

export function PromptItem({
  item,
  onTakeBack,
}: {
  item: Prompt
  onTakeBack: ((turnId: string, text: string) => void) | null
}) {
  const command = item.turnKind === 'command'
  return (
    <article aria-label="You" className="mt-4 rounded-card bg-surface px-4 py-3">
      <p className={`whitespace-pre-wrap [overflow-wrap:anywhere] ${command ? 'code-text' : ''}`}>
        {command ? `! ${item.text}` : item.text}
      </p>
      <p className="mt-1 flex items-center gap-2 text-xs text-muted">
        {item.state === 'queued' ? (
          <>
            <span>
              waiting, <Since at={item.at} />
            </span>
            {onTakeBack ? (
              <Button
                tone="quiet"
                className="-my-2 px-2 text-xs"
                onClick={() => onTakeBack(item.turnId, command ? `!${item.text}` : item.text)}
              >
                Take back
              </Button>
            ) : null}
          </>
        ) : (
          <>
            <span>you,</span>
            <Ago at={item.at} />
          </>
        )}
      </p>
    </article>
  )
}
