// What a push may change, decided on the refs that git itself read. Pure: ancestry and types are asked of git elsewhere.
import { SAVED_REFS } from '../protocol/saved-refs.ts'

export interface RefUpdate {
  old: string
  new: string
  ref: string
}

export interface RefRefusal {
  update: RefUpdate
  reason: 'ref_not_allowed' | 'deletion_refused' | 'not_fast_forward' | 'not_a_commit'
}

export const ZERO_ID = '0'.repeat(40)
const UPDATE = /^([0-9a-f]{40}) ([0-9a-f]{40}) (\S.*)$/

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

/** A session may create or move exactly its own branch, and replace what it saves. */
export function refuseForSession(update: RefUpdate, branch: string): RefRefusal | undefined {
  if (update.ref !== `refs/heads/${branch}` && !isSaved(update))
    return { update, reason: 'ref_not_allowed' }
  return update.new === ZERO_ID ? { update, reason: 'deletion_refused' } : undefined
}

/** An upload takes branches of any name and deletes none. */
export function refuseForUpload(update: RefUpdate): RefRefusal | undefined {
  if (!update.ref.startsWith('refs/heads/')) return { update, reason: 'ref_not_allowed' }
  return update.new === ZERO_ID ? { update, reason: 'deletion_refused' } : undefined
}

/** The sentence that appears in the output of the refused `git push`. */
export function refusalSentence({ update, reason }: RefRefusal, branch?: string): string {
  const allowed = branch === undefined ? 'refs/heads/' : `refs/heads/${branch}`
  switch (reason) {
    case 'ref_not_allowed':
      return branch === undefined
        ? `errand: only branches (${allowed}*) may be uploaded; ${update.ref} was refused`
        : `errand: this session may push to ${allowed} only; ${update.ref} was refused`
    case 'deletion_refused':
      return `errand: ${update.ref} may not be deleted`
    case 'not_fast_forward':
      return `errand: ${update.ref} may only move forward: build on ${update.old.slice(0, 12)} instead of replacing it`
    case 'not_a_commit':
      return `errand: ${update.ref} must point to a commit`
  }
}
