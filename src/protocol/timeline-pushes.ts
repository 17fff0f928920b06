// The line of the timeline that tells of a push. Pure.
import { isBranchName } from './branch-name.ts'
import type { EventOf } from './event.ts'

export interface PushLine {
  kind: 'push'
  ref: string
  commit: string
  accepted: boolean
  outward: string
  text: string
  /** The branch that its owner may grant, when that was what stood in the way of the push. */
  grantable: string | null
}

/** What a push, or the refusal of one, shows. */
export function pushed(body: EventOf<'push.accepted' | 'push.refused'>): PushLine {
  const { ref, message: text } = body
  return body.type === 'push.accepted'
    ? {
        kind: 'push' as const,
        ref,
        commit: body.commit,
        accepted: true,
        outward: body.outward,
        text,
        grantable: null,
      }
    : {
        ...{ kind: 'push' as const, ref, commit: '', accepted: false, outward: 'none', text },
        grantable: grantableOf(body),
      }
}

/** Not the default branch: who grants that says its name, and presses no button that happens to be there. */
function grantableOf({ ref, reason }: EventOf<'push.refused'>): string | null {
  const name = ref.replace(/^refs\/heads\//, '')
  return reason === 'ref_not_allowed' && name !== ref && isBranchName(name) ? name : null
}
