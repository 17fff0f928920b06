// The comments on a session's changes that were not sent yet; kept in this tab like a message that is being written.
import { useCallback, useMemo } from 'react'
import { useDraft } from '../composer/use-draft.ts'
import { readKept } from '../composer/use-kept-fields.ts'
import { type CommentPlace, type ReviewComment, readComments } from './review-comments.ts'

export interface Comments {
  sessionId: string
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
  return useMemo(
    () => ({
      sessionId,
      all,
      set,
      add: (place, commit, text) => {
        const id = crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`
        set((old) => [...old, { ...place, id, commit, text }])
      },
      remove: (id) => set((old) => old.filter((one) => one.id !== id)),
    }),
    [sessionId, all, set],
  )
}

/** One that is being written, and the commit whose changes its place is of. */
export interface WrittenComment {
  place: CommentPlace
  commit: string
  text: string
}

/** Of one file; kept like the others, and null where none is begun. */
export function useWrittenComment(
  { sessionId }: Comments,
  { repository, path }: Pick<CommentPlace, 'repository' | 'path'>,
): [WrittenComment | null, (written: WrittenComment | null) => void] {
  const [stored, setStored] = useDraft(`comment:${sessionId}:${repository ?? ''}:${path}`)
  const written = useMemo(() => {
    const { place, commit, text } = readKept<WrittenComment>(stored)
    return place && commit !== undefined && text !== undefined ? { place, commit, text } : null
  }, [stored])
  return [written, (next) => setStored(next ? JSON.stringify(next) : '')]
}
