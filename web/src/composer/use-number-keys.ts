// Lets the number keys 1 to 9 choose, unless somebody is writing.
import { useEffect, useRef } from 'react'
import { isWriting } from '../app/keyboard.ts'

export function useNumberKeys(choose: (index: number) => void): void {
  const latest = useRef(choose)
  latest.current = choose
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      if (event.metaKey || event.ctrlKey || event.altKey || isWriting(event.target)) return
      if (!/^[1-9]$/.test(event.key)) return
      event.preventDefault()
      latest.current(Number(event.key) - 1)
    }
    window.addEventListener('keydown', onKeyDown)
    return () => window.removeEventListener('keydown', onKeyDown)
  }, [])
}
