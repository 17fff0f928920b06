// What a session's runner is told to work on. Used by the gateway, which says it, and holds nothing secret.
import type { AssignedAdditional, WorkAssignment } from './protocol/runner-frames.ts'
import type { AdditionalState, SessionState } from './protocol/session.ts'

/** Who commits are by where the environment names nobody. */
const IDENTITY = { name: 'Errand', email: 'errand@localhost.invalid' }

/** Undefined while it is not known which commit the session starts from. */
export function assignmentOf(
  { id, repository, additional, environment, environmentFile }: SessionState,
  publicUrl: string | null,
  placeholders: Record<string, string>,
): WorkAssignment | undefined {
  const { name, url, commit, branch, baseBranch } = repository
  if (commit === null) return undefined
  const variables = { ...environmentFile?.variables, ...placeholders }
  return {
    kind: 'work',
    repository: { name, url, commit, branch, baseBranch },
    ...(additional.length > 0 ? { additional: additional.map(assignedOf) } : {}),
    ...(Object.keys(variables).length > 0 ? { repositoryVariables: variables } : {}),
    identity: environment.git.identity ?? IDENTITY,
    sessionUrl: publicUrl && `${publicUrl}/sessions/${id}`,
  }
}

/** The commits of all repositories are known at the same moment. */
function assignedOf({ name, url, commit, branch, baseBranch, access }: AdditionalState) {
  return {
    name,
    url,
    commit: commit ?? '',
    branch,
    baseBranch,
    access,
  } satisfies AssignedAdditional
}
