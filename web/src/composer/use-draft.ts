// What somebody has written and not sent yet, kept for each place over visits and reloads of this tab.
import { useCallback, useSyncExternalStore } from 'react'

export type SetDraft = (text: string | ((old: string) => string)) => void

/** By key. Where storage is switched off they live as long as the page. */
const drafts = new Map<string, string>()
const listeners = new Set<() => void>()

/** A draft may also be changed for a place that is not shown, or is shown again since. */
export function useDraft(place: string): [string, SetDraft] {
  const key = `draft:${place}`
  const draft = useSyncExternalStore(subscribe, () => read(key))
  const change = useCallback(
    (text: Parameters<SetDraft>[0]) => {
      write(key, typeof text === 'function' ? text(read(key)) : text)
      for (const listener of listeners) listener()
    },
    [key],
  )
  return [draft, change]
}

function subscribe(changed: () => void): () => void {
  listeners.add(changed)
  return () => listeners.delete(changed)
}

function read(key: string): string {
  const known = drafts.get(key) ?? stored(key)
  drafts.set(key, known)
  return known
}

function stored(key: string): string {
  try {
    return sessionStorage.getItem(key) ?? ''
  } catch {
    return ''
  }
}

function write(key: string, text: string): void {
  drafts.set(key, text)
  try {
    if (text === '') sessionStorage.removeItem(key)
    else sessionStorage.setItem(key, text)
  } catch {
    // As above.
  }
}
