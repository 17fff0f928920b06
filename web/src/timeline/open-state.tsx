// Which rows are open. Kept outside the rows, since a long timeline draws only those in sight.
import { createContext, type ReactNode, useContext, useState } from 'react'

const OpenContext = createContext<Map<string, boolean>>(new Map())

export function OpenStateProvider({ children }: { children: ReactNode }) {
  const [open] = useState(() => new Map<string, boolean>())
  return <OpenContext value={open}>{children}</OpenContext>
}

/** `first`: until somebody opens or closes it. */
export function useOpen(key: string, first = false): [boolean, (open: boolean) => void] {
  const states = useContext(OpenContext)
  const [chosen, setChosen] = useState(() => states.get(key))
  return [
    chosen ?? first,
    (next) => {
      states.set(key, next)
      setChosen(next)
    },
  ]
}
