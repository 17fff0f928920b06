// Chooses lines of a file's diff by keyboard while its card has the focus: arrows move, with shift they take more lines in,
// Enter comments, Escape lets go.
import type { FileDiffMetadata, SelectedLineRange } from '@pierre/diffs'
import { type FocusEvent, type KeyboardEvent, type RefObject, useEffect, useState } from 'react'
import { plainText } from '../ui/plain-text.ts'
import {
  type DiffLine,
  describeLine,
  type LineChoice,
  linesOf,
  moveChoice,
  rangeOf,
} from './diff-lines.ts'

interface Chosen extends LineChoice {
  file: FileDiffMetadata
  lines: readonly DiffLine[]
}

export function useLineKeys(
  card: RefObject<HTMLElement | null>,
  file: FileDiffMetadata,
  onComment: (range: SelectedLineRange) => void,
) {
  // Null for one render, which takes the mark away; undefined leaves marks to the pointer.
  const [chosen, setChosen] = useState<Chosen | null | undefined>()
  const current = chosen?.file === file ? chosen : null
  const line = current?.lines[current.at]
  useEffect(() => {
    if (chosen === null) setChosen(undefined)
    return chosen && card.current ? reveal(card.current, chosen) : undefined
  }, [card, chosen])
  const release = () => setChosen((now) => now && null)
  const move = (step: 1 | -1, extend: boolean) => {
    const lines = current?.lines ?? linesOf(file)
    const next = moveChoice(lines, current, { step, extend })
    setChosen(next && { ...next, file, lines })
  }
  const range = current && rangeOf(current.lines, current)
  const keys: Record<string, (event: KeyboardEvent) => void> = {
    ArrowDown: (event) => move(1, event.shiftKey),
    ArrowUp: (event) => move(-1, event.shiftKey),
    ...(range ? { Enter: () => onComment(range), Escape: release } : {}),
  }
  return {
    /** For the renderer. */
    selected: range ?? (chosen === undefined ? undefined : null),
    said: line ? plainText(describeLine(line)) : '',
    release,
    handlers: {
      onKeyDown: (event: KeyboardEvent) => {
        const press = keys[event.key]
        const isElsewhere = event.target !== event.currentTarget
        if (!press || isElsewhere || event.altKey || event.ctrlKey || event.metaKey) return
        event.preventDefault()
        press(event)
      },
      onBlur: ({ currentTarget, relatedTarget }: FocusEvent) => {
        if (!currentTarget.contains(relatedTarget)) release()
      },
    },
  }
}

/** Room for the head of the file, which stays in sight. */
const ABOVE_PX = 56
const BELOW_PX = 24

/** Lines far away are drawn two frames after a scroll to about where they are. Returns what takes the second look back. */
function reveal(card: HTMLElement, chosen: Chosen): (() => void) | undefined {
  if (scrollToLine(card, chosen)) return undefined
  let frame = requestAnimationFrame(() => {
    frame = requestAnimationFrame(() => scrollToLine(card, chosen))
  })
  return () => cancelAnimationFrame(frame)
}

/** False where the line was not drawn. */
function scrollToLine(card: HTMLElement, { lines, at }: Chosen): boolean {
  const scroller = card.closest('.diff-column')
  const line = lines[at]
  if (!scroller || !line) return true
  const type = !line.isChanged
    ? '^="context'
    : line.side === 'deletions'
      ? '="change-deletion'
      : '="change-addition'
  const row = card
    .querySelector('diffs-container')
    ?.shadowRoot?.querySelector(`[data-line="${line.number}"][data-line-type${type}"]`)
  const outer = scroller.getBoundingClientRect()
  const box = card.getBoundingClientRect()
  const inner = row?.getBoundingClientRect() ?? {
    top: box.top + (box.height * at) / lines.length,
    bottom: box.top + (box.height * (at + 1)) / lines.length,
  }
  const above = inner.top - outer.top - ABOVE_PX
  const below = inner.bottom - outer.bottom + BELOW_PX
  if (above < 0) scroller.scrollTop += above
  else if (below > 0) scroller.scrollTop += below
  return row != null
}
