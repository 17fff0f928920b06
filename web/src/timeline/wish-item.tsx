// What the repository asks to reach beyond what its session may: said, and allowed by a press only.
import { describeNetwork } from '../../../src/protocol/environment.ts'
import type { AllowScope } from '../../../src/protocol/session.ts'
import type { TimelineItem } from '../../../src/protocol/timeline.ts'
import { Button } from '../ui/button.tsx'
import { Glyph } from '../ui/glyph.tsx'
import { plainText } from '../ui/plain-text.ts'

export function WishItem({
  item,
  onAllow,
}: {
  item: Extract<TimelineItem, { kind: 'wish' }>
  onAllow: (allowed: { scope: AllowScope }) => void
}) {
  const asked = plainText(describeNetwork(item.network))
  if (item.state !== 'open')
    return (
      <p className="flex gap-1.5 py-1.5 text-sm text-muted">
        <Glyph name="check" className="mt-0.5 text-ok" />
        <span className="min-w-0 [overflow-wrap:anywhere]">
          Allowed {item.state === 'session' ? 'for this session' : 'in the environment'}: {asked}
        </span>
      </p>
    )
  return (
    <div className="my-2 rounded-card border border-line bg-surface p-3">
      <p className="[overflow-wrap:anywhere]">
        The repository asks to reach <span className="font-medium">{asked}</span>.
      </p>
      <p className="mt-0.5 text-sm text-muted">
        Its .errand/environment.yaml says so. Nothing of it can be reached until you allow it.
      </p>
      <div className="mt-2 flex flex-wrap gap-2">
        <Button onClick={() => onAllow({ scope: 'session' })}>Allow for this session</Button>
        <Button onClick={() => onAllow({ scope: 'environment' })}>Allow in the environment</Button>
      </div>
    </div>
  )
}
