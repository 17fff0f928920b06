// A menu of actions behind one button.
import { Menu as Primitive } from '@base-ui/react/menu'
import type { ReactNode } from 'react'
import { classes } from './classes.ts'

export interface MenuAction {
  label: string
  onSelect: () => void
  hint?: string
  bad?: boolean
}

export function Menu({
  label,
  trigger,
  actions,
  className,
}: {
  label: string
  trigger: ReactNode
  /** Of a trigger that is more than a glyph. */
  className?: string
  actions: readonly MenuAction[]
}) {
  return (
    <Primitive.Root modal={false}>
      <Primitive.Trigger
        aria-label={label}
        title={label}
        className={classes(
          'inline-flex items-center justify-center rounded-control text-muted hover:bg-surface hover:text-text',
          className ?? 'hit-square',
        )}
      >
        {trigger}
      </Primitive.Trigger>
      <Primitive.Portal>
        <Primitive.Positioner sideOffset={4} align="end" className="z-30">
          <Primitive.Popup className="min-w-44 animate-appear rounded-card border border-line bg-raised p-1 shadow-lg outline-none">
            {actions.map((action) => (
              <Primitive.Item
                key={action.label}
                onClick={action.onSelect}
                className={classes(
                  'hit flex cursor-pointer items-center justify-between gap-6 rounded-control px-2.5 text-sm outline-none data-highlighted:bg-surface',
                  action.bad && 'text-bad',
                )}
              >
                {action.label}
                {action.hint ? <kbd className="text-xs text-muted">{action.hint}</kbd> : null}
              </Primitive.Item>
            ))}
          </Primitive.Popup>
        </Primitive.Positioner>
      </Primitive.Portal>
    </Primitive.Root>
  )
}
