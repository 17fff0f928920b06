// What somebody has written and not sent yet, kept for each place over visits and reloads of this tab.
import { useCallback, useEffect, useState } from 'react'

export type SetDraft = (text: string | ((old: string) => string)) => void

export function useDraft(place: string): [string, SetDraft] {
  const key = `draft:${place}`
  const [draft, setDraft] = useState(() => read(key))
  useEffect(() => setDraft(read(key)), [key])
  const change = useCallback(
    (text: Parameters<SetDraft>[0]) => {
      const next = typeof text === 'function' ? text(read(key)) : text
      write(key, next)
      setDraft(next)
    },
    [key],
  )
  return [draft, change]
}

function read(key: string): string {
  try {
    return sessionStorage.getItem(key) ?? ''
  } catch {
    return '' // Storage is switched off: the draft then lives only as long as the page.
  }
}

function write(key: string, text: string): void {
  try {
    if (text === '') sessionStorage.removeItem(key)
    else sessionStorage.setItem(key, text)
  } catch {
    // As above.
  }
}
