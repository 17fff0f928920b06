// +N −M in the colours of a diff; the signs carry the meaning too.
import { classes } from './classes.ts'

export function Counts({
  insertions,
  deletions,
  className,
}: {
  insertions: number
  deletions: number
  className?: string
}) {
  return (
    <span className={classes('whitespace-nowrap', className)}>
      <span className="text-add">+{insertions}</span> <span className="text-del">−{deletions}</span>
    </span>
  )
}
