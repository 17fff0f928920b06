// One line that opens: the line says what and how it went, what is below it shows the whole.
import type { ReactNode } from 'react'
import { classes } from '../ui/classes.ts'
import { Glyph } from '../ui/glyph.tsx'
import { useOpen } from './open-state.tsx'

export function Disclosure({
  id,
  line,
  first = false,
  className,
  children,
}: {
  id: string
  line: ReactNode
  first?: boolean
  className?: string
  children: ReactNode
}) {
  const [open, setOpen] = useOpen(id, first)
  return (
    <div className={className}>
      <button
        type="button"
        aria-expanded={open}
        onClick={() => setOpen(!open)}
        className="hit -mx-1.5 flex w-[calc(100%+0.75rem)] items-center gap-1.5 rounded-control px-1.5 text-left text-sm hover:bg-surface"
      >
        <Glyph
          name="chevron"
          className={classes('text-muted transition-transform duration-120', open && 'rotate-90')}
        />
        {line}
      </button>
      {open ? (
        <div className="mt-1 mb-2 ml-[7px] border-l border-line pl-[15px]">{children}</div>
      ) : null}
    </div>
  )
}
