// Asks once before the running turn is interrupted.
import { useEffect, useRef } from 'react'
import { Button } from '../ui/button.tsx'
import { useReturnFocus } from './use-return-focus.ts'

export function InterruptBar({
  onInterrupt,
  onCancel,
}: {
  onInterrupt: () => void
  onCancel: () => void
}) {
  const button = useRef<HTMLButtonElement>(null)
  const focus = useReturnFocus()
  useEffect(() => button.current?.focus(), [])
  return (
    <div
      {...focus}
      role="alertdialog"
      aria-label="Interrupt the turn?"
      className="mb-2 flex animate-appear flex-wrap items-center gap-2 rounded-card border border-line bg-raised p-2 pl-3.5"
    >
      <p className="mr-auto">Interrupt the turn? What was done so far stays.</p>
      <Button ref={button} tone="primary" onClick={onInterrupt}>
        Interrupt
      </Button>
      <Button tone="quiet" onClick={onCancel}>
        Let it work
      </Button>
    </div>
  )
}
