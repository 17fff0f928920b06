// +N −M in the colours of a diff; the signs carry the meaning too.
import type { ReactNode } from 'react'
import { classes } from './classes.ts'

export function Counts({
  insertions,
  deletions,
  none,
  className,
}: {
  insertions: number
  deletions: number
  /** Instead, where no line is another: what changed may be binary, a name or a mode. */
  none?: ReactNode
  className?: string
}) {
  if (none !== undefined && insertions === 0 && deletions === 0)
    return <span className={classes('whitespace-nowrap text-muted', className)}>{none}</span>
  return (
    <span className={classes('whitespace-nowrap', className)}>
      <span className="text-add">+{insertions}</span> <span className="text-del">−{deletions}</span>
    </span>
  )
}
