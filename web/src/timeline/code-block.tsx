// Output and code as plain text. Long text is shown in part, its end or its beginning, until somebody asks for all.
import { useState } from 'react'
import { Button } from '../ui/button.tsx'
import { classes } from '../ui/classes.ts'
import { plainText } from '../ui/plain-text.ts'

const LINES_SHOWN = 40

export function CodeBlock({
  text,
  keep = 'start',
  tone,
  className,
}: {
  text: string
  keep?: 'start' | 'end'
  tone?: 'bad'
  className?: string
}) {
  const [all, setAll] = useState(false)
  const lines = plainText(text).replace(/\n+$/, '').split('\n')
  const hidden = all ? 0 : Math.max(0, lines.length - LINES_SHOWN)
  const shown =
    hidden === 0
      ? lines
      : keep === 'start'
        ? lines.slice(0, LINES_SHOWN)
        : lines.slice(-LINES_SHOWN)
  const more =
    hidden > 0 ? (
      <Button tone="quiet" className="-mx-2 px-2 text-xs" onClick={() => setAll(true)}>
        Show {hidden} {keep === 'start' ? 'more' : 'earlier'} lines
      </Button>
    ) : null
  return (
    <div className={className}>
      {keep === 'end' ? more : null}
      <pre
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard
        tabIndex={0}
        className={classes(
          'code-text max-h-[60vh] overflow-auto rounded-control bg-surface px-3 py-2 whitespace-pre-wrap [overflow-wrap:anywhere]',
          tone === 'bad' && 'text-bad',
        )}
      >
        {shown.join('\n')}
      </pre>
      {keep === 'start' ? more : null}
    </div>
  )
}
