// Keeps a scrolling element at its end while somebody reads there, and never moves it once they have scrolled away.
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
}

export function useStickToBottom(scroller: HTMLElement | null) {
  const position = useRef<Position>({ pinned: true, top: 0, height: 0, actedAt: 0 })
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
      if (at.pinned) follow(element, at)
      setAway(!at.pinned)
    }
    const onAct = () => {
      at.actedAt = performance.now()
    }
    const sizes = new ResizeObserver(() => at.pinned && follow(element, at))
    sizes.observe(content)
    sizes.observe(element)
    element.addEventListener('scroll', onScroll, { passive: true })
    for (const type of ACTS) element.addEventListener(type, onAct, { passive: true })
    follow(element, at)
    return () => {
      sizes.disconnect()
      element.removeEventListener('scroll', onScroll)
      for (const type of ACTS) element.removeEventListener(type, onAct)
    }
  }, [scroller])

  return { away, toEnd }
}

const ACTS = ['wheel', 'touchmove', 'keydown', 'pointerdown'] as const

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
