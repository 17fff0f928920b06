// What somebody has written and not sent yet, kept for each place over visits and reloads of this tab.
import { useCallback, useSyncExternalStore } from 'react'

export type SetDraft = (text: string | ((old: string) => string)) => void

/** By key. Where storage is switched off they live as long as the page. */
const drafts = new Map<string, string>()
const listeners = new Set<() => void>()

/** `page`: in no storage, for what is secret; it does not live on when the page is loaded anew. */
type Lifetime = 'tab' | 'page'

/** A draft may also be changed for a place that is not shown, or is shown again since. */
export function useDraft(place: string, lifetime: Lifetime = 'tab'): [string, SetDraft] {
  const key = `draft:${place}`
  const draft = useSyncExternalStore(subscribe, () => read(key, lifetime))
  const change = useCallback(
    (text: Parameters<SetDraft>[0]) => {
      write(key, lifetime, typeof text === 'function' ? text(read(key, lifetime)) : text)
      for (const listener of listeners) listener()
    },
    [key, lifetime],
  )
  return [draft, change]
}

/** The same outside of what is drawn. */
export function keptDraft(place: string): string {
  return read(`draft:${place}`, 'tab')
}

export function keepDraft(place: string, text: string): void {
  write(`draft:${place}`, 'tab', text)
  for (const listener of listeners) listener()
}

function subscribe(changed: () => void): () => void {
  listeners.add(changed)
  return () => listeners.delete(changed)
}

function read(key: string, lifetime: Lifetime): string {
  const known = drafts.get(key) ?? (lifetime === 'tab' ? stored(key) : '')
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

function write(key: string, lifetime: Lifetime, text: string): void {
  drafts.set(key, text)
  if (lifetime === 'page') return
  try {
    if (text === '') sessionStorage.removeItem(key)
    else sessionStorage.setItem(key, text)
  } catch {
    // As above.
  }
}
