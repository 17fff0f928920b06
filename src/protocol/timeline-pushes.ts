// The line of the timeline that tells of a push. Pure.
import { isBranchName } from './branch-name.ts'
import type { EventOf } from './event.ts'

export interface PushLine {
  kind: 'push'
  /** Which of the additional repositories; null for the main one. */
  repository: string | null
  ref: string
  commit: string
  accepted: boolean
  outward: string
  text: string
  /** Why it was refused, or is not yet outside; null where nothing was said. */
  reason: string | null
  /** The branch of that repository that its owner may grant, when that was what stood in the way of the push. */
  grantable: string | null
}

/** What a push, or the refusal of one, shows. */
export function pushed(body: EventOf<'push.accepted' | 'push.refused'>): PushLine {
  const { ref, message: text } = body
  const push = { kind: 'push' as const, repository: body.repository ?? null, ref, text }
  return body.type === 'push.accepted'
    ? {
        ...{ ...push, commit: body.commit, accepted: true, outward: body.outward },
        ...{ reason: null, grantable: null },
      }
    : {
        ...{ ...push, commit: '', accepted: false, outward: 'none' },
        ...{ reason: body.reason, grantable: grantableOf(body) },
      }
}

/** Not the default branch: who grants that says its name, and presses no button that happens to be there. */
function grantableOf({ ref, reason }: EventOf<'push.refused'>): string | null {
  const name = ref.replace(/^refs\/heads\//, '')
  return reason === 'ref_not_allowed' && name !== ref && isBranchName(name) ? name : null
}
