// A quiet stand-in that has the size of what comes.
import { classes } from './classes.ts'

export function Skeleton({ className }: { className?: string }) {
  return (
    <span aria-hidden="true" className={classes('block rounded-control bg-line/60', className)} />
  )
}
