// Rules for what the owner lets a session push to beyond its own branch: by exact name, one at a time, and taken back the same way.
import { type PushGrantChange, type PushGrants, pushGrantsSchema } from '../../protocol/session.ts'
import { type Draft, type Refusal, refuse } from './draft.ts'

export function grantPush(draft: Draft, change: PushGrantChange): Refusal | undefined {
  const { pushGrants: before, repository } = draft.state
  if (change.grant === repository.branch || change.revoke === repository.branch) {
    return refuse(
      'conflict',
      'branch_is_own',
      `${repository.branch} is the session's own branch: it may always push there.`,
    )
  }
  const after = changed(before, change)
  if (!pushGrantsSchema.safeParse(after).success) {
    return refuse(
      'too_large',
      'too_many_grants',
      'A session may be granted 50 branches. Take one back first.',
    )
  }
  if (change.revoke !== undefined && !before.branches.includes(change.revoke))
    return refuse('not_found', 'grant_not_found', `The session has no grant for ${change.revoke}.`)
  if (JSON.stringify(after) !== JSON.stringify(before))
    draft.emit('user', { type: 'push.granted', ...after })
  return undefined
}

function changed({ branches, rewrite }: PushGrants, change: PushGrantChange): PushGrants {
  const kept = branches.filter((name) => name !== change.revoke)
  const granted = change.grant === undefined ? kept : [...new Set([...kept, change.grant])]
  return { branches: granted, rewrite: change.rewrite ?? rewrite }
}
