// The fields of a new task, kept beside its words: who looks at something else in between comes back to the same task, and not
// to one on another repository.
import { useEffect, useMemo, useState } from 'react'
import { EMPTY_FIELDS, type TaskFields } from './new-task-draft.ts'
import { type KeptFields, useKeptFields } from './use-kept-fields.ts'

/** Until an address is written it is the one of the newest session. */
export function useTaskFields(
  recentUrl: string,
): Pick<KeptFields<TaskFields>, 'change' | 'forget'> & { fields: TaskFields } {
  const { kept, change, forget } = useKeptFields<TaskFields>('new:fields')
  const [guess, setGuess] = useState(recentUrl)
  useEffect(() => setGuess((old) => old || recentUrl), [recentUrl])
  const fields = useMemo(() => ({ ...EMPTY_FIELDS, url: guess, ...kept }), [kept, guess])
  return { fields, change, forget }
}
