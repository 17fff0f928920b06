// Hosts that a session asked for, with what came of it.
import { patternFor } from '../../../src/protocol/installation-network.ts'
import type { HostTotal } from '../../../src/protocol/network-log.ts'
import { formatBytes, plural } from '../ui/format.ts'
import { Glyph } from '../ui/glyph.tsx'
import { plainText } from '../ui/plain-text.ts'
import { Ago } from '../ui/time.tsx'
import { type AllowHost, AllowMenu } from './allow-menu.tsx'
import { canBeAllowed, describeDenial } from './denials.ts'

interface HostListProps {
  title: string
  empty: string
  totals: readonly HostTotal[]
  isAllowedNow: (at: HostTotal) => boolean
  onAllow: (allowed: AllowHost) => void
}

const SHOWN = 200

export function HostList({ title, empty, totals, ...rest }: HostListProps) {
  return (
    <section aria-label={title}>
      <h2 className="font-semibold">{title}</h2>
      {totals.length === 0 ? <p className="mt-1 text-sm text-muted">{empty}</p> : null}
      <ul className="mt-1 flex flex-col divide-y divide-line">
        {totals.slice(0, SHOWN).map((total) => (
          <HostRow key={patternFor(total)} total={total} {...rest} />
        ))}
      </ul>
      {totals.length > SHOWN ? (
        <p className="text-sm text-muted">and {totals.length - SHOWN} more</p>
      ) : null}
    </section>
  )
}

function HostRow({
  total,
  isAllowedNow,
  onAllow,
}: { total: HostTotal } & Pick<HostListProps, 'isAllowedNow' | 'onAllow'>) {
  const { host, port, allowed, reason, open, at } = total
  const isBlocked = !allowed && !isAllowedNow(total)
  const glyph = open > 0 ? 'dot' : 'check'
  return (
    <li className="flex items-center gap-2 py-2">
      <Glyph name={isBlocked ? 'blocked' : glyph} className={isBlocked ? 'text-warn' : 'text-ok'} />
      <span className="flex min-w-0 flex-1 flex-col">
        <span className="code-text [overflow-wrap:anywhere]">
          {plainText(host)}
          {WITHOUT_PORT.has(port) ? '' : `:${port}`}
        </span>
        <span className="text-sm text-muted tabular-nums">
          {describeTotal(total, isBlocked).join(' · ')} · <Ago at={at} />
        </span>
      </span>
      {isBlocked && canBeAllowed(reason ?? '') ? (
        <AllowMenu host={total} onAllow={onAllow} />
      ) : null}
    </li>
  )
}

/** Those of the web; 0 stands for several. */
const WITHOUT_PORT = new Set([0, 80, 443])

function describeTotal(total: HostTotal, isBlocked: boolean): string[] {
  const { allowed, reason, count, open, bytesUp, bytesDown } = total
  if (!allowed) {
    const what = isBlocked ? describeDenial(reason ?? 'denied') : 'was blocked, is allowed now'
    return count > 1 ? [what, `${count} times`] : [what]
  }
  const parts = [
    plural(count, 'connection'),
    `↑ ${formatBytes(bytesUp)}`,
    `↓ ${formatBytes(bytesDown)}`,
  ]
  return open > 0 ? [`${open} open`, ...parts] : parts
}
