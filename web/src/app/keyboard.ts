// Single-key shortcuts. They are silent while somebody writes, and while a dialog or menu is open.
import { useEffect, useRef } from 'react'

export type Shortcuts = Record<string, () => void>

export const SHORTCUTS: readonly [string, string][] = [
  ['n', 'New task'],
  ['/', 'Search sessions'],
  ['j  k', 'Next and previous session'],
  ['⌘K', 'Commands'],
  ['⌘↵', 'Send'],
  ['esc', 'Interrupt the turn; asks once'],
  ['d', 'Changes'],
  ['↑ ↓  ↵', 'In a diff: choose a line, with ⇧ several, and comment on it'],
  ['1 … 9', 'Choose an answer'],
  ['?', 'This list'],
]

export function isWriting(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))
  )
}

function nameOf(event: KeyboardEvent): string {
  return event.metaKey || event.ctrlKey ? `Mod+${event.key.toLowerCase()}` : event.key
}

/** Whether the key belongs to what has the focus. */
function isTaken(event: KeyboardEvent): boolean {
  if (event.metaKey || event.ctrlKey) return false
  return (
    isWriting(event.target) || document.querySelector('[role="dialog"], [role="menu"]') !== null
  )
}

/** Keys as `KeyboardEvent.key`; `Mod+k` is with Command or Control and works while writing too. */
export function useShortcuts(shortcuts: Shortcuts): void {
  const latest = useRef(shortcuts)
  latest.current = shortcuts
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      const run = event.altKey ? undefined : latest.current[nameOf(event)]
      if (!run || event.defaultPrevented || event.isComposing || isTaken(event)) return
      event.preventDefault()
      run()
    }
    window.addEventListener('keydown', onKeyDown)
    return () => window.removeEventListener('keydown', onKeyDown)
  }, [])
}
