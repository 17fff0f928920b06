// The end of a turn: that it is over, how long it took, and what to do when it failed.
import type { TimelineItem } from '../../../src/protocol/timeline.ts'
import { Button } from '../ui/button.tsx'
import { Failure } from '../ui/failure.tsx'
import { formatDuration, formatExact } from '../ui/format.ts'
import { plainText } from '../ui/plain-text.ts'

type End = Extract<TimelineItem, { kind: 'end' }>

export function EndItem({
  item,
  current,
  onSendAgain,
}: {
  item: End
  current: boolean
  onSendAgain: (turnId: string) => void
}) {
  if (item.outcome === 'failed')
    return (
      <div className="mt-2">
        <Failure what="The turn failed" why={plainText(item.text)} reason={item.reason}>
          {current ? <Button onClick={() => onSendAgain(item.turnId)}>Send it again</Button> : null}
        </Failure>
      </div>
    )
  const words = [
    item.outcome === 'interrupted' ? 'Interrupted' : 'Done',
    item.durationMs === null ? '' : ` in ${formatDuration(item.durationMs)}`,
    item.exitCode === null ? '' : `, exit code ${item.exitCode}`,
  ].join('')
  return (
    <p
      className="flex items-center gap-3 pt-3 pb-1 text-xs text-muted before:h-px before:flex-1 before:bg-line after:h-px after:flex-1 after:bg-line"
      title={formatExact(item.at)}
    >
      {words}
    </p>
  )
}
