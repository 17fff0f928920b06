// Shows upstream's branches and tags of now in a session's repository, and leaves the session's own branch its own.
import type { Git } from '../git-process.ts'
import type { SessionRefs } from '../messages.ts'
import { readPushedCommits, type SessionRecord } from '../records.ts'
import { copyRefs, isAncestor, listRefs, readRef } from '../refs.ts'

export interface SyncFrom {
  directory: string
  record: SessionRecord
  mirror: string
  /** A push is being decided: the session's branch must not move beneath it. */
  pushing: boolean
}

export async function syncFromMirror(
  git: Git,
  { directory, record, mirror, pushing }: SyncFrom,
): Promise<void> {
  const own = `refs/heads/${record.branch}`
  const from = await listRefs(git, mirror)
  // A branch `a` cannot stand beside `a/b`: what upstream has there stays out of sight.
  const keep = (ref: string) =>
    ref === own || ref.startsWith(`${own}/`) || own.startsWith(`${ref}/`)
  await copyRefs(git, { from, to: directory, keep })
  const there = from.get(own)
  if (there === undefined) return
  await git.text({
    args: [`--git-dir=${directory}`, 'update-ref', `refs/errand/upstream/${record.branch}`, there],
  })
  if (!pushing) await followUpstream(git, directory, { own, there })
}

/** Shows refs of pull requests that the mirror has, by name or by pattern, as they are there. */
export async function syncPullRefs(
  git: Git,
  { directory, mirror, refs }: { directory: string; mirror: string; refs: readonly string[] },
): Promise<void> {
  const folders = refs.map((ref) => ref.replace(/\/\*\/head$/, ''))
  const from = await listRefs(git, mirror, folders)
  await copyRefs(git, { from, to: directory, keep: () => false, below: folders })
}

/** Somebody may have added to the session's branch upstream: it moves forward, and never drops what is only here. */
async function followUpstream(
  git: Git,
  directory: string,
  { own, there }: { own: string; there: string },
): Promise<void> {
  const here = await readRef(git, directory, own)
  if (here === there) return
  // The session has replaced it since, and that has not reached the upstream yet.
  if (here !== undefined && (await readPushedCommits(directory)).has(there)) return
  if (here !== undefined && !(await isAncestor(git, directory, { older: here, newer: there })))
    return
  const expected = here ?? '0'.repeat(40)
  // A push that comes in between wins: git compares with what was expected.
  await git.run({ args: [`--git-dir=${directory}`, 'update-ref', own, there, expected] })
}

export async function readSessionRefs(
  git: Git,
  directory: string,
  record: SessionRecord,
): Promise<SessionRefs> {
  const refs = await listRefs(git, directory)
  const tip = refs.get(`refs/heads/${record.branch}`) ?? null
  const { branch, commit: start, baseBranch } = record
  return { branch, tip, start, baseBranch, refs: Object.fromEntries(refs) }
}
