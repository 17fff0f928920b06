// When something that had the focus goes away, the focus goes to the composer instead of nowhere. Not on touch screens,
// where that would open the keyboard.
import { type FocusEvent, useLayoutEffect, useRef } from 'react'

export function useReturnFocus() {
  const focused = useRef(false)
  useLayoutEffect(
    () => () => {
      if (!focused.current || !window.matchMedia('(pointer: fine)').matches) return
      setTimeout(() => document.querySelector<HTMLElement>('[data-prompt]')?.focus())
    },
    [],
  )
  return {
    onFocus: () => {
      focused.current = true
    },
    /** A button that is switched off loses the focus to nothing: that does not count as leaving. */
    onBlur: (event: FocusEvent) => {
      const { relatedTarget, currentTarget } = event
      if (relatedTarget && !currentTarget.contains(relatedTarget)) focused.current = false
    },
  }
}
