// What a session changed in all of its repositories together. Null while it changed nothing.
import type { SessionState } from '../../../src/protocol/session.ts'

export interface TotalChanges {
  files: number
  insertions: number
  deletions: number
  /** Another text when anything of it is another. */
  commits: string
}

export function totalChanges({
  changes,
  additional,
}: Pick<SessionState, 'changes' | 'additional'>): TotalChanges | null {
  const all = [changes, ...additional.map((one) => one.changes)].filter((one) => one !== null)
  if (all.length === 0) return null
  return {
    files: all.reduce((sum, one) => sum + one.filesChanged, 0),
    insertions: all.reduce((sum, one) => sum + one.insertions, 0),
    deletions: all.reduce((sum, one) => sum + one.deletions, 0),
    commits: all.map(({ commit }) => commit).join(),
  }
}
