// The title of the tab says when a session needs somebody, also while the tab is hidden.
import { useEffect } from 'react'

export function useTabTitle(waiting: number, title: string | null): void {
  useEffect(() => {
    const place = title ? `${title} · Errand` : 'Errand'
    const count = waiting > 1 ? ` (${waiting})` : ''
    document.title = waiting > 0 ? `◆ needs you${count} · ${place}` : place
  }, [waiting, title])
}
