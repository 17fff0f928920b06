// The comments on a session's changes that were not sent yet; kept in this tab like a message that is being written.
import { useCallback, useMemo } from 'react'
import { useDraft } from '../composer/use-draft.ts'
import { type CommentPlace, type ReviewComment, readComments } from './review-comments.ts'

export interface Comments {
  all: readonly ReviewComment[]
  add: (place: CommentPlace, commit: string, text: string) => void
  remove: (id: string) => void
  /** Those that were sent, or that come back because they were not. */
  set: (change: (all: ReviewComment[]) => ReviewComment[]) => void
}

export function useComments(sessionId: string): Comments {
  const [stored, setStored] = useDraft(`comments:${sessionId}`)
  const all = useMemo(() => readComments(stored), [stored])
  const set = useCallback<Comments['set']>(
    (change) =>
      setStored((old) => {
        const next = change(readComments(old))
        return next.length === 0 ? '' : JSON.stringify(next)
      }),
    [setStored],
  )
  return {
    all,
    set,
    add: (place, commit, text) => {
      const id = crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`
      set((old) => [...old, { ...place, id, commit, text }])
    },
    remove: (id) => set((old) => old.filter((one) => one.id !== id)),
  }
}
