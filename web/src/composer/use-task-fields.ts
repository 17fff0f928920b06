// The fields of a new task, kept beside its words: who looks at something else in between comes back to the same task, and not
// to one on another repository.
import { useCallback, useEffect, useMemo, useState } from 'react'
import { EMPTY_FIELDS, readChosenFields, type TaskFields } from './new-task-draft.ts'
import { useDraft } from './use-draft.ts'

export interface KeptFields {
  fields: TaskFields
  change: (changed: Partial<TaskFields>) => void
  /** Back to what nobody has chosen anything of. */
  forget: () => void
}

/** Until an address is written it is the one of the newest session. */
export function useTaskFields(recentUrl: string): KeptFields {
  const [stored, setStored] = useDraft('new:fields')
  const [guess, setGuess] = useState(recentUrl)
  useEffect(() => setGuess((old) => old || recentUrl), [recentUrl])
  const fields = useMemo(
    () => ({ ...EMPTY_FIELDS, url: guess, ...readChosenFields(stored) }),
    [stored, guess],
  )
  const change = useCallback<KeptFields['change']>(
    (changed) => setStored((old) => JSON.stringify({ ...readChosenFields(old), ...changed })),
    [setStored],
  )
  return { fields, change, forget: useCallback(() => setStored(''), [setStored]) }
}
