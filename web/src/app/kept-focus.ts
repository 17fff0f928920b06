// What had the focus may go away when the page is updated: the focus then goes to what is nearest and still there, never to
// nothing. Dialogs and menus give it back themselves.
import { useEffect } from 'react'

const OVERLAYS = '[role="dialog"], [role="menu"]'

export function useKeptFocus(): void {
  useEffect(() => {
    /** What has the focus, and all that it is in. */
    let path: HTMLElement[] = []
    const onFocus = ({ target }: FocusEvent) => {
      const isOwn = target instanceof HTMLElement && !target.closest(OVERLAYS)
      path = isOwn ? pathOf(target) : []
    }
    // A press beside everything lets go of it on purpose.
    const onPress = () => {
      path = []
    }
    const observer = new MutationObserver(() => {
      if (document.activeElement !== document.body) return
      const [last] = path
      if (!last) return
      // A button that is switched off while it is busy loses the focus as well, and gets it back.
      if (last.isConnected) last.focus({ preventScroll: true })
      else nearest(path)?.focus({ preventScroll: true })
    })
    const watched = { childList: true, subtree: true, attributeFilter: ['disabled'] }
    observer.observe(document.body, watched)
    document.addEventListener('focusin', onFocus)
    document.addEventListener('pointerdown', onPress, true)
    return () => {
      observer.disconnect()
      document.removeEventListener('focusin', onFocus)
      document.removeEventListener('pointerdown', onPress, true)
    }
  }, [])
}

function pathOf(element: HTMLElement): HTMLElement[] {
  return element.parentElement ? [element, ...pathOf(element.parentElement)] : [element]
}

/** Of what stood above the composer, the composer; not on touch screens, where that would open the keyboard. */
function nearest(path: readonly HTMLElement[]): HTMLElement | null {
  const around = path.find(
    (element) => element.isConnected && element.matches('[tabindex], footer'),
  )
  if (!around || around.hasAttribute('tabindex')) return around ?? null
  const isTouch = window.matchMedia('(pointer: coarse)').matches
  return isTouch ? null : around.querySelector<HTMLElement>('[data-prompt]')
}
