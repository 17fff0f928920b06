// A dialog in the middle of a desk and a sheet from the bottom of a phone. Focus goes in and comes back.
import { Dialog as Primitive } from '@base-ui/react/dialog'
import type { ReactNode } from 'react'

export function Dialog({
  open,
  onClose,
  title,
  hideTitle = false,
  children,
}: {
  open: boolean
  onClose: () => void
  title: string
  hideTitle?: boolean
  children: ReactNode
}) {
  return (
    <Primitive.Root open={open} onOpenChange={(next) => !next && onClose()}>
      <Primitive.Portal>
        <Primitive.Backdrop className="fixed inset-0 z-40 bg-[oklch(0.2_0.01_60/0.35)]" />
        <Primitive.Popup className="fixed inset-x-0 bottom-0 z-50 max-h-[85dvh] animate-appear overflow-auto rounded-t-card border border-line bg-raised p-4 pb-[max(1rem,env(safe-area-inset-bottom))] shadow-xl outline-none sm:inset-auto sm:top-[14vh] sm:left-1/2 sm:w-[34rem] sm:max-w-[calc(100vw-2rem)] sm:-translate-x-1/2 sm:rounded-card">
          <Primitive.Title className={hideTitle ? 'sr-only' : 'mb-3 text-lg font-semibold'}>
            {title}
          </Primitive.Title>
          {children}
        </Primitive.Popup>
      </Primitive.Portal>
    </Primitive.Root>
  )
}
