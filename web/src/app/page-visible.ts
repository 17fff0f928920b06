// Whether somebody can see this tab. Streams of hidden tabs are closed: nobody reads along, and where no WebSocket opens they
// would take the few connections that a browser opens to one address for all its tabs together.
import { useEffect, useState, useSyncExternalStore } from 'react'

function subscribe(changed: () => void): () => void {
  document.addEventListener('visibilitychange', changed)
  return () => document.removeEventListener('visibilitychange', changed)
}

export function usePageVisible(): boolean {
  return useSyncExternalStore(subscribe, () => !document.hidden)
}

/** Stays true for a while after the tab was hidden, so that a short look elsewhere cuts nothing. */
export function useRecentlyVisible(graceMs: number): boolean {
  const visible = usePageVisible()
  const [recent, setRecent] = useState(visible)
  useEffect(() => {
    if (visible) return setRecent(true)
    const timer = setTimeout(() => setRecent(false), graceMs)
    return () => clearTimeout(timer)
  }, [visible, graceMs])
  return visible || recent
}
