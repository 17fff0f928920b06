// What a session's runner is told to work on. Used by the gateway, which says it, and holds nothing secret.
import type { WorkAssignment } from './protocol/runner-frames.ts'
import type { SessionState } from './protocol/session.ts'

/** What commits made inside are signed with as author; a setting of the installation later. */
const IDENTITY = { name: 'Errand', email: 'errand@localhost.invalid' }

/** Undefined while it is not known which commit the session starts from. */
export function assignmentOf(
  { id, repository, environmentFile }: SessionState,
  publicUrl: string | null,
): WorkAssignment | undefined {
  const { name, url, commit, branch, baseBranch } = repository
  if (commit === null) return undefined
  return {
    kind: 'work',
    repository: { name, url, commit, branch, baseBranch },
    ...(environmentFile ? { repositoryVariables: environmentFile.variables } : {}),
    identity: IDENTITY,
    sessionUrl: publicUrl && `${publicUrl}/sessions/${id}`,
  }
}
