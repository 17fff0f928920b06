// The focus is not lost to nothing when the panel beside the timeline opens over the button that opened it, or closes with the
// focus in it: then that button has it.
import { type RefObject, useLayoutEffect } from 'react'

export function usePanelFocus(panel: RefObject<HTMLElement | null>): void {
  useLayoutEffect(() => {
    const node = panel.current
    // Where there is no room for both, the head of the session is hidden by now.
    if (document.activeElement?.checkVisibility() === false) node?.focus({ preventScroll: true })
    return () => {
      if (!node?.contains(document.activeElement)) return
      setTimeout(() => document.querySelector<HTMLElement>('[data-panel-toggle]')?.focus())
    }
  }, [panel])
}
