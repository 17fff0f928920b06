// Rules for what the owner lets a session push to beyond its own branch: of one repository, by exact name, one at a time, and taken
// back the same way. Nothing is granted of a repository that the session only reads.
import {
  grantedOf,
  type PushGrantChange,
  type PushGrants,
  pushGrantsSchema,
  repositoryOf,
} from '../../protocol/session.ts'
import { type Draft, type Refusal, refuse } from './draft.ts'

export function grantPush(draft: Draft, change: PushGrantChange): Refusal | undefined {
  const { repository: name } = change
  const place = repositoryOf(draft.state, name)
  if (!place) {
    const message = `The session has no additional repository ${name}. Its main one is meant without a name.`
    return refuse('not_found', 'repository_not_found', message)
  }
  if ('access' in place && place.access === 'read') {
    const message = `${name} was attached for reading only: no push to it can be allowed. Start a session that has it with write access.`
    return refuse('conflict', 'repository_read_only', message)
  }
  if (change.grant === place.branch || change.revoke === place.branch) {
    return refuse(
      'conflict',
      'branch_is_own',
      `${place.branch} is the session's own branch: it may always push there.`,
    )
  }
  const before = grantedOf(draft.state, place)
  const after = changed(before, change)
  if (!pushGrantsSchema.safeParse(after).success) {
    return refuse(
      'too_large',
      'too_many_grants',
      'A session may be granted 50 branches of a repository. Take one back first.',
    )
  }
  if (change.revoke !== undefined && !before.branches.includes(change.revoke)) {
    const where = name === undefined ? '' : ` of ${name}`
    const message = `The session has no grant for ${change.revoke}${where}.`
    return refuse('not_found', 'grant_not_found', message)
  }
  if (JSON.stringify(after) !== JSON.stringify(before))
    draft.emit('user', { type: 'push.granted', repository: name, ...after })
  return undefined
}

function changed({ branches, rewrite }: PushGrants, change: PushGrantChange): PushGrants {
  const kept = branches.filter((name) => name !== change.revoke)
  const granted = change.grant === undefined ? kept : [...new Set([...kept, change.grant])]
  return { branches: granted, rewrite: change.rewrite ?? rewrite }
}
