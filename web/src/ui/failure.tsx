// A failure: what happened, why, and the button that mends it.
import type { ReactNode } from 'react'
import { Glyph } from './glyph.tsx'

export function Failure({
  what,
  why,
  reason,
  children,
}: {
  what: string
  why?: ReactNode
  /** The stable word that a program would match on. */
  reason?: string | null
  children?: ReactNode
}) {
  return (
    <div role="alert" className="flex gap-2 rounded-card bg-bad-soft p-3">
      <Glyph name="cross" className="mt-0.5 text-bad" />
      <div className="min-w-0 flex-1">
        <p className="font-medium text-bad">{what}</p>
        {why ? <p className="mt-0.5 [overflow-wrap:anywhere]">{why}</p> : null}
        {reason ? (
          <p className="mt-0.5 text-xs text-muted [overflow-wrap:anywhere]">{reason}</p>
        ) : null}
        {children ? <div className="mt-2 flex flex-wrap gap-2">{children}</div> : null}
      </div>
    </div>
  )
}
