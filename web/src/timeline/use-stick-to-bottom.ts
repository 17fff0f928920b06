// Keeps a scrolling element at its end while somebody reads there, and never moves it once they have scrolled away, nor while
// they press something in it: what is moved away between the two halves of a press does not get it.
import { useCallback, useEffect, useRef, useState } from 'react'

/** How near to the end counts as reading there, px. */
const NEAR_END_PX = 48
/** A move upwards within this time of a wheel, touch, key or pointer is somebody's own. */
const OWN_MOVE_MS = 1000

interface Position {
  pinned: boolean
  top: number
  height: number
  actedAt: number
  pressed: boolean
}

const START: Position = { pinned: true, top: 0, height: 0, actedAt: 0, pressed: false }

export function useStickToBottom(scroller: HTMLElement | null) {
  const position = useRef<Position>({ ...START })
  const [away, setAway] = useState(false)

  const toEnd = useCallback(() => {
    if (!scroller) return
    position.current.pinned = true
    setAway(false)
    follow(scroller, position.current)
  }, [scroller])

  useEffect(() => {
    const element = scroller
    const content = element?.firstElementChild
    if (!element || !content) return
    const at = position.current
    const onScroll = () => {
      at.pinned = isPinned(element, at)
      at.top = element.scrollTop
      at.height = element.scrollHeight
      followIfPinned()
      setAway(!at.pinned)
    }
    const onAct = () => {
      at.actedAt = performance.now()
    }
    const followIfPinned = () => at.pinned && !at.pressed && follow(element, at)
    // Of its own scroll bar no browser says when it is let go.
    const onPress = ({ target }: PointerEvent) => {
      at.pressed = target !== element
    }
    const onRelease = () => {
      at.pressed = false
      // What was pressed learns of it first.
      requestAnimationFrame(followIfPinned)
    }
    const sizes = new ResizeObserver(followIfPinned)
    sizes.observe(content)
    sizes.observe(element)
    element.addEventListener('scroll', onScroll, { passive: true })
    for (const type of ACTS) element.addEventListener(type, onAct, { passive: true })
    element.addEventListener('pointerdown', onPress, { passive: true })
    for (const type of RELEASES) window.addEventListener(type, onRelease)
    follow(element, at)
    return () => {
      at.pressed = false
      sizes.disconnect()
      element.removeEventListener('pointerdown', onPress)
      for (const type of RELEASES) window.removeEventListener(type, onRelease)
      element.removeEventListener('scroll', onScroll)
      for (const type of ACTS) element.removeEventListener(type, onAct)
    }
  }, [scroller])

  return { away, toEnd }
}

const ACTS = ['wheel', 'touchmove', 'keydown', 'pointerdown'] as const
const RELEASES = ['pointerup', 'pointercancel', 'blur'] as const

/**
 * The browser moves upwards too, when what is drawn becomes shorter: that lets go of nothing. What moves upwards while
 * the height stays is a person, or a search in the page.
 */
function isPinned(element: HTMLElement, at: Position): boolean {
  const { scrollTop, scrollHeight, clientHeight } = element
  if (scrollHeight - scrollTop - clientHeight < NEAR_END_PX) return true
  if (scrollTop >= at.top - 1) return at.pinned
  const own = performance.now() - at.actedAt < OWN_MOVE_MS || scrollHeight === at.height
  return at.pinned && !own
}

function follow(element: HTMLElement, at: Position): void {
  element.scrollTop = element.scrollHeight
  at.top = element.scrollTop
  at.height = element.scrollHeight
}
