// What a push may change, decided on the refs that git itself read. Pure: ancestry and types are asked of git elsewhere.
import { SAVED_REFS } from '../../protocol/saved-refs.ts'
import type { PushGrants } from '../../protocol/session.ts'

export interface RefUpdate {
  old: string
  new: string
  ref: string
}

export interface RefRefusal {
  update: RefUpdate
  reason:
    | 'ref_not_allowed'
    | 'default_branch_not_allowed'
    | 'one_branch_at_a_time'
    | 'deletion_refused'
    | 'not_fast_forward'
    | 'not_a_commit'
}

export interface PushScope extends PushGrants {
  sessionId: string
  /** Which of the session's additional repositories; the main one without. */
  repository?: string | null
  branch: string
  defaultBranch: string | null
}

export const ZERO_ID = '0'.repeat(40)
const UPDATE = /^([0-9a-f]{40}) ([0-9a-f]{40}) (\S.*)$/
const HEADS = 'refs/heads/'
const USUAL_DEFAULTS = ['main', 'master']
/** A name that a person may copy into a shell as it is. */
const PLAIN_NAME = /^[A-Za-z0-9_][A-Za-z0-9._/-]*$/

/** One line that git gives to its pre-receive hook; undefined for anything else. */
export function parseRefUpdate(line: string): RefUpdate | undefined {
  const match = UPDATE.exec(line)
  const [, old = '', next = '', ref = ''] = match ?? []
  return match ? { old, new: next, ref } : undefined
}

/** What the runner saves: it may be replaced by anything, and goes nowhere. */
export function isSaved(update: RefUpdate): boolean {
  return SAVED_REFS.includes(update.ref)
}

export function branchOf({ ref }: RefUpdate): string {
  return ref.slice(HEADS.length)
}

/** The refs of branches that a session may push to. */
export function branchRefs({ branch, branches }: PushScope): string[] {
  return [...new Set([branch, ...branches])].map((name) => HEADS + name)
}

/**
 * A session may create or move its own branch and those that it was granted, one in a push, and replace what it saves.
 * Whether a branch moves forward is asked of git.
 */
export function refuseForSession(
  updates: readonly RefUpdate[],
  scope: PushScope,
): (RefRefusal | undefined)[] {
  const allowed = branchRefs(scope)
  const first = updates.find((update) => !isSaved(update))
  return updates.map((update) => {
    if (!isSaved(update)) {
      if (!allowed.includes(update.ref)) return { update, reason: reasonFor(update.ref, scope) }
      // Two that go outside could end with one there and one refused.
      if (update !== first && update.new !== ZERO_ID)
        return { update, reason: 'one_branch_at_a_time' }
    }
    return update.new === ZERO_ID ? { update, reason: 'deletion_refused' } : undefined
  })
}

/**
 * Asked once more before a ref leaves for the upstream, and by another way than the hook's: whatever let a push through, only
 * the session's branch and those that it was granted go out. Undefined: it may.
 */
export function refuseOutward(update: RefUpdate, scope: PushScope): RefRefusal | undefined {
  const name = update.ref.startsWith(HEADS) ? branchOf(update) : undefined
  const isAllowed = name !== undefined && (name === scope.branch || scope.branches.includes(name))
  if (!isAllowed) return { update, reason: reasonFor(update.ref, scope) }
  return update.new === ZERO_ID ? { update, reason: 'deletion_refused' } : undefined
}

function reasonFor(ref: string, { defaultBranch }: PushScope): RefRefusal['reason'] {
  const defaults = defaultBranch === null ? USUAL_DEFAULTS : [...USUAL_DEFAULTS, defaultBranch]
  return defaults.some((name) => ref === HEADS + name)
    ? 'default_branch_not_allowed'
    : 'ref_not_allowed'
}

/** An upload takes branches of any name and deletes none. */
export function refuseForUpload(update: RefUpdate): RefRefusal | undefined {
  if (!update.ref.startsWith(HEADS)) return { update, reason: 'ref_not_allowed' }
  return update.new === ZERO_ID ? { update, reason: 'deletion_refused' } : undefined
}

/** The lines that appear in the output of the refused `git push`: the rule, and what can be done. */
export function refusalLines({ update, reason }: RefRefusal, scope?: PushScope): string[] {
  const { ref } = update
  if (!scope)
    return reason === 'ref_not_allowed'
      ? [`errand: only branches (${HEADS}*) may be uploaded; ${ref} was refused`]
      : [`errand: ${ref} may not be deleted`]
  const grant = `errand grant ${scope.sessionId.slice(0, 8)}`
  const of = scope.repository ? ` --repository ${scope.repository}` : ''
  switch (reason) {
    case 'ref_not_allowed':
    case 'default_branch_not_allowed': {
      const only = `errand: this session may push to ${branchRefs(scope).join(', ')} only; ${ref} was refused`
      if (!ref.startsWith(HEADS))
        return [
          only,
          "errand: push the commits to the session's own branch: tags and the like cannot be allowed",
        ]
      const name = ref.slice(HEADS.length)
      const how = PLAIN_NAME.test(name) ? `: ${grant} ${name}${of}` : ''
      return [only, `errand: its owner may allow this branch as well${how}`]
    }
    case 'one_branch_at_a_time':
      return [`errand: one branch in each push; push ${ref} by itself`]
    case 'deletion_refused':
      return [`errand: ${ref} may not be deleted: no session deletes a branch`]
    case 'not_fast_forward':
      return [
        `errand: ${ref} may only move forward: build on ${update.old.slice(0, 12)} instead of replacing it`,
        ...(ref === HEADS + scope.branch && !scope.rewrite
          ? [`errand: or its owner allows to rewrite it: ${grant} --rewrite${of}`]
          : []),
      ]
    case 'not_a_commit':
      return [`errand: ${ref} must point to a commit`]
  }
}
