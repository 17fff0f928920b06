// A state that is worth showing only when it lasts: short interruptions mend themselves before anybody has read of them.
import { useEffect, useState } from 'react'

export function useLasting(state: boolean, forMs = 1500): boolean {
  const [lasting, setLasting] = useState(false)
  useEffect(() => {
    if (!state) return setLasting(false)
    const timer = setTimeout(() => setLasting(true), forMs)
    return () => clearTimeout(timer)
  }, [state, forMs])
  return state && lasting
}
