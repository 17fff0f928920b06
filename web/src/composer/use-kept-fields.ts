// The fields of a form that somebody has changed and not sent yet, kept for each place like what is written there.
import { useCallback, useMemo } from 'react'
import { useDraft } from './use-draft.ts'

export interface KeptFields<T> {
  /** Those that were changed; empty: none was. */
  kept: Partial<T>
  change: (changed: Partial<T>) => void
  forget: () => void
}

const NONE: readonly never[] = []

/** `secrets` are kept as long as the page lives, and in no storage. Both arguments stay the same. */
export function useKeptFields<T extends object>(
  place: string,
  secrets: readonly (keyof T)[] = NONE,
): KeptFields<T> {
  const [stored, setStored] = useDraft(place)
  const [hidden, setHidden] = useDraft(`${place}:secrets`, 'page')
  const kept = useMemo(() => ({ ...readKept<T>(stored), ...readKept<T>(hidden) }), [stored, hidden])
  const change = useCallback(
    (changed: Partial<T>) => {
      const isSecret = (name: string) => secrets.includes(name as keyof T)
      const fields = Object.entries(changed)
      const add = (old: string, some: typeof fields) =>
        some.length === 0 ? old : JSON.stringify({ ...readKept(old), ...Object.fromEntries(some) })
      setStored((old) =>
        add(
          old,
          fields.filter(([name]) => !isSecret(name)),
        ),
      )
      setHidden((old) =>
        add(
          old,
          fields.filter(([name]) => isSecret(name)),
        ),
      )
    },
    [secrets, setStored, setHidden],
  )
  const forget = useCallback(() => {
    setStored('')
    setHidden('')
  }, [setStored, setHidden])
  return { kept, change, forget }
}

/** Nothing of what cannot be read. */
export function readKept<T extends object>(stored: string): Partial<T> {
  try {
    const value: unknown = JSON.parse(stored || '{}')
    return typeof value === 'object' && value !== null ? value : {}
  } catch {
    return {}
  }
}
