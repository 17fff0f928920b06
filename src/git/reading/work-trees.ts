// What the keeping of work trees asks of a session's repository: how many files a commit has, and which of some commits,
// whose work trees are kept, comes nearest to it.
import { AppError } from '../../protocol/errors.ts'
import type { Git } from '../git-process.ts'
import type { CountFilesRequest, NearestCommit, NearestRequest } from '../messages.ts'
import { isAncestor } from '../refs.ts'

const LIMIT_MS = 60_000
/** Of a list of names; one that is longer is cut, and has more files than anybody asks for. */
const NAMES_BYTES = 64 << 20

/** Counts no further than `most`. */
export async function countFiles(
  git: Git,
  directory: string,
  { commit, most }: CountFilesRequest,
  signal: AbortSignal,
): Promise<{ files: number }> {
  const list = ['ls-tree', '-r', '-z', '--full-tree', '--name-only', commit]
  const { exitCode, stdout, stderr, truncated } = await git.run({
    args: [`--git-dir=${directory}`, ...list],
    maxBytes: NAMES_BYTES,
    signal,
    limitMs: LIMIT_MS,
  })
  if (exitCode !== 0 && !truncated)
    throw new AppError('not_found', 'commit_not_found', stderr.trim() || 'There is no such commit.')
  let files = 0
  for (const byte of stdout) if (byte === 0) files += 1
  return { files: Math.min(files, most) }
}

/**
 * Only a commit that belongs to the history of the other one: who has that may read it anyway. None whose attributes differ,
 * since these decide what unchanged files look like on disk.
 */
export async function findNearest(
  git: Git,
  directory: string,
  { commit, candidates }: NearestRequest,
  signal: AbortSignal,
): Promise<NearestCommit> {
  if (candidates.includes(commit)) return { nearest: { commit, changed: 0 } }
  let nearest: NearestCommit['nearest'] = null
  for (const candidate of candidates) {
    signal.throwIfAborted()
    if (!(await isAncestor(git, directory, { older: candidate, newer: commit }))) continue
    const changed = await countChanges(git, directory, { from: candidate, to: commit, signal })
    if (changed !== undefined && (nearest === null || changed < nearest.changed))
      nearest = { commit: candidate, changed }
  }
  return { nearest }
}

/** Undefined when too much has changed, or what decides how files are written. */
async function countChanges(
  git: Git,
  directory: string,
  { from, to, signal }: { from: string; to: string; signal: AbortSignal },
): Promise<number | undefined> {
  const diff = ['diff-tree', '-r', '-z', '--no-renames', '--name-only', from, to]
  const { exitCode, stdout, truncated } = await git.run({
    args: [`--git-dir=${directory}`, ...diff],
    maxBytes: NAMES_BYTES,
    signal,
    limitMs: LIMIT_MS,
  })
  if (exitCode !== 0 || truncated) return undefined
  const names = stdout.toString('latin1').split('\0').slice(0, -1)
  return names.some(isAttributes) ? undefined : names.length
}

function isAttributes(path: string): boolean {
  return (path.split('/').at(-1) ?? '').toLowerCase() === '.gitattributes'
}
