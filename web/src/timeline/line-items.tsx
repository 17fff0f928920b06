// The short lines between: notices, hosts that were blocked, pushes.
import type { TimelineItem } from '../../../src/protocol/timeline.ts'
import { Button } from '../ui/button.tsx'
import { Glyph, type GlyphName } from '../ui/glyph.tsx'
import { plainText } from '../ui/plain-text.ts'

type Of<K extends TimelineItem['kind']> = Extract<TimelineItem, { kind: K }>

function Line({
  glyph,
  color,
  children,
}: {
  glyph: GlyphName
  color: string
  children: React.ReactNode
}) {
  return (
    <p className="flex gap-1.5 py-1.5 text-sm text-muted">
      <Glyph name={glyph} className={`mt-0.5 ${color}`} />
      <span className="min-w-0 [overflow-wrap:anywhere]">{children}</span>
    </p>
  )
}

const TONES: Record<Of<'notice'>['tone'], { glyph: GlyphName; color: string }> = {
  plain: { glyph: 'note', color: '' },
  warn: { glyph: 'note', color: 'text-warn' },
  bad: { glyph: 'cross', color: 'text-bad' },
}

export function NoticeItem({ item }: { item: Of<'notice'> }) {
  return <Line {...TONES[item.tone]}>{plainText(item.text)}</Line>
}

const DENIALS: Record<string, string> = {
  host_not_allowed: 'the network level does not allow it',
  private_address: 'it leads to a private address',
}

export function DeniedItem({ item }: { item: Of<'denied'> }) {
  const port = item.port === 443 || item.port === 80 ? '' : `:${item.port}`
  return (
    <Line glyph="blocked" color="text-warn">
      <span className="code-text text-text">
        {plainText(item.host)}
        {port}
      </span>{' '}
      blocked: {DENIALS[item.reason] ?? plainText(item.reason).replaceAll('_', ' ')}
      {item.count > 1 ? ` (${item.count} times)` : ''}
    </Line>
  )
}

const OUTWARD: Record<string, string> = {
  forwarded: 'passed on to its remote',
  kept: 'kept here, not yet at its remote',
  refused: 'refused by its remote',
  none: '',
}

export function PushItem({
  item,
  onGrant,
}: {
  item: Of<'push'>
  onGrant: (branch: string) => void
}) {
  const branch = plainText(item.ref).replace(/^refs\/heads\//, '')
  const outward = OUTWARD[item.outward] ?? item.outward
  const { grantable } = item
  const line = (
    <Line glyph={item.accepted ? 'push' : 'cross'} color={item.accepted ? 'text-ok' : 'text-bad'}>
      {item.accepted ? 'Pushed ' : 'Push refused: '}
      {item.commit ? (
        <>
          <span className="code-text">{item.commit.slice(0, 8)}</span> to{' '}
        </>
      ) : null}
      <span className="code-text text-text">{branch}</span>
      {outward ? `, ${outward}` : ''}
      {item.text ? <span className="block whitespace-pre-wrap">{plainText(item.text)}</span> : null}
    </Line>
  )
  if (grantable === null) return line
  return (
    <div className="pb-1.5">
      {line}
      <Button className="ml-5.5 max-w-full" onClick={() => onGrant(grantable)}>
        <span className="truncate">Allow pushes to {plainText(grantable)}</span>
      </Button>
    </div>
  )
}
