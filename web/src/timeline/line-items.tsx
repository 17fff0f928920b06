// The short lines between: notices, hosts that were blocked, pushes.
import { patternFor } from '../../../src/protocol/installation-network.ts'
import type { PushGrantChange } from '../../../src/protocol/session.ts'
import type { TimelineItem } from '../../../src/protocol/timeline.ts'
import { CredentialLink } from '../credentials/credential-link.tsx'
import { type AllowHost, AllowMenu } from '../network/allow-menu.tsx'
import { canBeAllowed, describeDenial } from '../network/denials.ts'
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
  const [first = '', ...said] = plainText(item.text).split('\n')
  return (
    <div className="flex flex-wrap items-center gap-x-2">
      <Line {...TONES[item.tone]}>
        {first}
        {said.length > 0 ? (
          <span className="block whitespace-pre-wrap">{said.join('\n')}</span>
        ) : null}
      </Line>
      <CredentialLink reason={item.code} />
    </div>
  )
}

/** Hosts that were refused, and the way to allow them. */
export function DeniedItem({
  item,
  onAllow,
}: {
  item: Of<'denied'>
  onAllow: (allowed: AllowHost) => void
}) {
  const { reason, allowed, count } = item
  return (
    <div className="flex flex-wrap items-center gap-x-2">
      <Line glyph={allowed ? 'check' : 'blocked'} color={allowed ? 'text-ok' : 'text-warn'}>
        <span className="code-text text-text">{plainText(patternFor(item))}</span>{' '}
        {allowed ? 'was blocked and is allowed now' : `blocked: ${describeDenial(reason)}`}
        {count > 1 ? ` (${count} times)` : ''}
      </Line>
      {allowed || !canBeAllowed(reason) ? null : <AllowMenu host={item} onAllow={onAllow} />}
    </div>
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
  onGrant: (grant: PushGrantChange) => void
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
      {item.repository ? ` of ${plainText(item.repository)}` : ''}
      {outward ? `, ${outward}` : ''}
      {item.text ? <span className="block whitespace-pre-wrap">{plainText(item.text)}</span> : null}
    </Line>
  )
  if (item.accepted) return line
  if (grantable === null)
    return (
      <div className="flex flex-wrap items-center gap-x-2">
        {line}
        <CredentialLink reason={item.reason} />
      </div>
    )
  return (
    <div className="pb-1.5">
      {line}
      <Button
        className="ml-5.5 max-w-[calc(100%-1.375rem)]"
        onClick={() => onGrant({ grant: grantable, repository: item.repository ?? undefined })}
      >
        <span className="truncate">
          Allow pushes to {plainText(grantable)}
          {item.repository ? ` of ${plainText(item.repository)}` : ''}
        </span>
      </Button>
    </div>
  )
}
