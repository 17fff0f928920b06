// Files of a commit as data, for what is made from a repository without the repository itself. Regular files only: a link
// says where to look, and nobody here goes there.
import { AppError } from '../../protocol/errors.ts'
import type { Git } from '../git-process.ts'
import type { FilesRequest, RepositoryFiles } from '../messages.ts'

/** A lock file of a large project has a few megabytes. */
const MOST_BYTES = 16 << 20
const LIST_BYTES = 1 << 20
const LIMIT_MS = 60_000
const ENTRY = /^(100644|100755) blob ([0-9a-f]{40,64}) +(\d+)\t([\s\S]+)$/

interface Entry {
  path: string
  object: string
  bytes: number
}

/** In the order of the names; what the commit does not have is left out. Rejects with `files_too_large`. */
export async function readFiles(
  git: Git,
  directory: string,
  { commit, paths }: FilesRequest,
  signal: AbortSignal,
): Promise<RepositoryFiles> {
  if (paths.length === 0) return { files: [] }
  const run = (args: string[], maxBytes: number) =>
    git.run({ args: [`--git-dir=${directory}`, ...args], maxBytes, signal, limitMs: LIMIT_MS })
  const list = ['--literal-pathspecs', 'ls-tree', '-z', '-l', '--full-tree', commit, '--', ...paths]
  const { exitCode, stdout, stderr } = await run(list, LIST_BYTES)
  if (exitCode !== 0)
    throw new AppError('not_found', 'commit_not_found', stderr.trim() || 'There is no such commit.')
  const wanted = new Set(paths)
  const entries = stdout
    .toString('utf8')
    .split('\0')
    .flatMap(parseEntry)
    .filter(({ path }) => wanted.has(path))
  const total = entries.reduce((sum, { bytes }) => sum + bytes, 0)
  if (total > MOST_BYTES) {
    const message = `The files ${paths.join(', ')} have more than ${MOST_BYTES >> 20} MiB together.`
    throw new AppError('too_large', 'files_too_large', message)
  }
  const files: RepositoryFiles['files'] = []
  for (const { path, object } of entries) {
    const blob = await run(['cat-file', 'blob', object], MOST_BYTES)
    if (blob.exitCode !== 0) throw new AppError('internal', 'git_failed', blob.stderr.trim())
    files.push({ path, data: blob.stdout.toString('base64') })
  }
  return { files: files.toSorted((a, b) => (a.path < b.path ? -1 : 1)) }
}

function parseEntry(line: string): Entry[] {
  const [, , object = '', bytes = '', path = ''] = ENTRY.exec(line) ?? []
  return object === '' ? [] : [{ path, object, bytes: Number(bytes) }]
}
