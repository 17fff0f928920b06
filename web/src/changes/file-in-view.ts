// Which file of the diff somebody looks at, so that the list of files can mark it. Read from where the cards of the diff stand.
import { type RefObject, useEffect, useState } from 'react'

/** A file counts from here on, px below the upper edge of what scrolls. */
const LINE_PX = 32
/** Rounded positions are off by less, px. */
const NEAR_PX = 2

/**
 * The index of the file at the upper edge. At the end, where the last ones cannot come up there, it is the one that was gone to, or
 * the last.
 * `tops`: px below the upper edge of what scrolls, ascending.
 */
export function fileInView(
  tops: readonly number[],
  { isAtStart, isAtEnd, target }: { isAtStart: boolean; isAtEnd: boolean; target: number },
): number {
  const upper = Math.max(
    0,
    tops.findLastIndex((top) => top <= LINE_PX),
  )
  if (!isAtEnd) return upper
  if (target > upper) return target
  return isAtStart ? upper : tops.length - 1
}

/** The path of it; null until the diff is drawn. `target`: the file that was gone to last. */
export function useFileInView(
  list: RefObject<HTMLElement | null>,
  target: string | null,
): string | null {
  const [path, setPath] = useState<string | null>(null)
  useEffect(() => {
    const scroller = list.current?.closest<HTMLElement>('.diff-column')
    const content = scroller?.firstElementChild
    if (!scroller || !content) return
    const look = () => setPath(pathInView(scroller, target))
    const sizes = new ResizeObserver(look)
    sizes.observe(content)
    scroller.addEventListener('scroll', look, { passive: true })
    return () => {
      sizes.disconnect()
      scroller.removeEventListener('scroll', look)
    }
  }, [list, target])
  return path
}

function pathInView(scroller: HTMLElement, target: string | null): string | null {
  const cards = [...scroller.querySelectorAll<HTMLElement>('[data-path]')]
  const upper = scroller.getBoundingClientRect().top
  const tops = cards.map((card) => card.getBoundingClientRect().top - upper)
  const { scrollTop, scrollHeight, clientHeight } = scroller
  const index = fileInView(tops, {
    isAtStart: scrollTop < NEAR_PX,
    isAtEnd: scrollTop + clientHeight > scrollHeight - NEAR_PX,
    target: cards.findIndex((card) => card.dataset.path === target),
  })
  return cards[index]?.dataset.path ?? null
}

/** Keeps the marked row in sight where the list scrolls by itself; the diff is never moved by it. */
export function useShownRow(list: RefObject<HTMLElement | null>, path: string | null): void {
  // biome-ignore lint/correctness/useExhaustiveDependencies: another path, another row
  useEffect(() => {
    const row = list.current?.querySelector('[aria-current]')
    const box = list.current?.parentElement
    if (!row || !box || getComputedStyle(box).overflowY !== 'auto') return
    const [own, all] = [row.getBoundingClientRect(), box.getBoundingClientRect()]
    box.scrollTop += Math.min(0, own.top - all.top) + Math.max(0, own.bottom - all.bottom)
  }, [list, path])
}
