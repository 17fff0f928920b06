// A session as the store finds it: its state, or what can still be told of one whose state this version cannot read, as when a
// later version has written it. Such a session can do nothing, but it is seen, and it can be removed.
import { z } from 'zod'
import { AppError } from './errors.ts'
import { credentialIdSchema } from './ids.ts'
import { type Repository, repositorySchema, type SessionState } from './session.ts'

export const STATE_UNREADABLE = 'state_unreadable'

export interface UnreadableSession {
  isUnreadable: true
  id: string
  ownerId: string
  isArchived: boolean
  sandboxState: string
  createdAt: string
  updatedAt: string
  lastSeq: number
  title: string
  repository: Repository
  /** Wherever they stand in what was stored. */
  credentialIds: string[]
}

export type FoundSession = SessionState | UnreadableSession

export function isUnreadable(found: FoundSession): found is UnreadableSession {
  return 'isUnreadable' in found
}

/** Rejected for good: a later try of this version reads no more. */
export function unreadableError(id: string): AppError {
  const message = `This version of Errand cannot read the state of session ${id}, as when a later version has written it. Start that version again, or remove the session and all that it has here: errand rm ${id}`
  return new AppError('unsupported', STATE_UNREADABLE, message)
}

export function unreadableSession(
  row: Omit<UnreadableSession, 'isUnreadable' | 'title' | 'repository' | 'credentialIds'>,
  stored: unknown,
): UnreadableSession {
  const { title, repository } = remainsSchema.parse(stored)
  return {
    ...row,
    isUnreadable: true,
    title: title || 'A session that cannot be read',
    repository: repository ?? unknownRepository(row.id),
    credentialIds: credentialIdsIn(stored),
  }
}

const remainsSchema = z
  .object({
    title: z.string().optional().catch(undefined),
    repository: repositorySchema.optional().catch(undefined),
  })
  .catch({})

function unknownRepository(sessionId: string): Repository {
  const source = { kind: 'session', sessionId } as const
  return { source, name: 'unknown', url: '', baseBranch: null, commit: null, branch: '' }
}

function credentialIdsIn(stored: unknown): string[] {
  const ids = new Set<string>()
  JSON.stringify(stored, (key, value: unknown) => {
    const id = key === 'credentialId' ? credentialIdSchema.safeParse(value) : undefined
    if (id?.success) ids.add(id.data)
    return value
  })
  return [...ids]
}
