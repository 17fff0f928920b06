// What a session changed, read from its bare repository alone: from the commit it started from to the tip of its branch.
// Raw blobs: no external diff, no text conversion, no attributes.
import { AppError } from '../../protocol/errors.ts'
import type { Git, GitCall } from '../git-process.ts'
import type { Diff } from '../messages.ts'
import { readPushedCommits, type SessionRecord } from '../records.ts'
import { isAncestor, readRef } from '../refs.ts'

const DEFAULT_PATCH_BYTES = 5_000_000
const STAT_BYTES = 16 << 20
const LOG_BYTES = 4 << 20
const MOST_COMMITS = 500
const LIMIT_MS = 120_000
/** A few trees can stand for more files than any machine has memory for. */
const MEMORY_BYTES = 2 * 1024 ** 3

type DiffFile = Diff['files'][number]

interface DiffOptions {
  maxBytes?: number | null
  signal: AbortSignal
}

export async function readDiff(
  git: Git,
  directory: string,
  record: SessionRecord,
  { maxBytes, signal }: DiffOptions,
): Promise<Diff> {
  const commit = await readRef(git, directory, `refs/heads/${record.branch}`)
  const nothing = {
    patch: '',
    truncated: false,
    files: [],
    filesChanged: 0,
    insertions: 0,
    deletions: 0,
    commits: [],
  }
  if (commit === undefined) return { base: record.commit, commit: null, ...nothing }
  const read = (args: string[], limit: number) =>
    readGit(git, {
      args: [`--git-dir=${directory}`, ...args],
      maxBytes: limit,
      signal,
      limitMs: LIMIT_MS,
      memoryBytes: MEMORY_BYTES,
    })
  const from = await findBase(git, directory, { record, commit })
  const tree = [
    'diff-tree',
    '-r',
    '-M',
    '--no-ext-diff',
    '--no-textconv',
    '--full-index',
    '--no-color',
  ]
  const range = ['--end-of-options', from, commit]
  const patchCap = maxBytes ?? DEFAULT_PATCH_BYTES
  const patch = await read(
    [...tree, '-p', '--ignore-submodules=none', '--submodule=short', ...range],
    patchCap,
  )
  const stat = await read([...tree, '-z', '--raw', '--numstat', ...range], STAT_BYTES)
  const files = parseStat(stat.stdout)
  const sum = (pick: (file: DiffFile) => number) =>
    files.reduce((total, file) => total + pick(file), 0)
  return {
    base: from,
    commit,
    patch: wholeFiles(patch.stdout.toString('utf8'), patch.truncated),
    truncated: patch.truncated || stat.truncated,
    files,
    filesChanged: files.length,
    insertions: sum(({ insertions }) => insertions),
    deletions: sum(({ deletions }) => deletions),
    commits: await readCommits(read, from, commit),
  }
}

type Read = (args: string[], limit: number) => ReturnType<typeof readGit>

async function readGit(git: Git, call: GitCall) {
  const result = await git.run(call)
  if (result.exitCode !== 0 && /out of memory|cannot allocate memory/i.test(result.stderr))
    throw new AppError(
      'too_large',
      'diff_too_large',
      'The changes of this session are too many to be shown. Fetch its branch to look at them.',
    )
  if (result.exitCode !== 0 && !result.truncated)
    throw new Error(`git ${call.args[1]} exited with ${result.exitCode}: ${result.stderr}`)
  return result
}

/**
 * Where the session's own work begins: the commit it started from, or a later one of its base branch that it merged or was
 * rebased on. A base branch that has taken the session's work in is no beginning: its common commit was pushed from here.
 */
async function findBase(
  git: Git,
  directory: string,
  { record, commit }: { record: SessionRecord; commit: string },
): Promise<string> {
  const start = record.commit
  // Without common history all of the branch is the session's.
  const fromStart = (await mergeBase(git, directory, [start, commit])) ?? start
  if (record.baseBranch === null || record.baseBranch === record.branch) return fromStart
  const fromBranch = await mergeBase(git, directory, [`refs/heads/${record.baseBranch}`, commit])
  if (fromBranch === undefined || (await readPushedCommits(directory)).has(fromBranch))
    return fromStart
  const isLater = await isAncestor(git, directory, { older: start, newer: fromBranch })
  return isLater ? fromBranch : fromStart
}

async function mergeBase(
  git: Git,
  directory: string,
  commits: string[],
): Promise<string | undefined> {
  const { exitCode, stdout } = await git.run({
    args: [`--git-dir=${directory}`, 'merge-base', ...commits],
  })
  return exitCode === 0 ? stdout.toString('utf8').trim() : undefined
}

/** A cut patch ends with its last whole file; when even the first is cut, with its last whole line. */
function wholeFiles(patch: string, truncated: boolean): string {
  if (!truncated) return patch
  const lastFile = patch.lastIndexOf('\ndiff --git ')
  return patch.slice(0, (lastFile > 0 ? lastFile : patch.lastIndexOf('\n')) + 1)
}

async function readCommits(read: Read, from: string, commit: string): Promise<Diff['commits']> {
  const format = '--format=%H%x00%s%x00%an%x00%aI'
  const args = [
    'log',
    '-z',
    `--max-count=${MOST_COMMITS}`,
    '--no-show-signature',
    '--no-color',
    format,
  ]
  const { stdout } = await read(
    [...args, '--end-of-options', `${from}..${commit}`, '--'],
    LOG_BYTES,
  )
  const fields = stdout.toString('utf8').split('\0')
  const commits: Diff['commits'] = []
  for (let i = 0; i + 3 < fields.length; i += 4) {
    const [id = '', subject = '', author = '', at = ''] = fields.slice(i, i + 4)
    commits.push({ id, subject, author, at })
  }
  return commits
}

const STATUSES: Record<string, DiffFile['status']> = {
  A: 'added',
  M: 'modified',
  D: 'deleted',
  R: 'renamed',
  C: 'copied',
  T: 'type-changed',
}

/**
 * Output of `diff-tree -z --raw --numstat`: all raw entries first, then the counts in the same order. Names stay bytes (latin1)
 * until every file has its counts: two that are no UTF-8 may read the same.
 */
export function parseStat(output: Buffer): DiffFile[] {
  const fields = readFields(output.toString('latin1'))
  const files = new Map<string, DiffFile>()
  while (fields.next().startsWith(':')) {
    const file = takeRaw(fields)
    files.set(file.path, file)
  }
  while (fields.left() > 1) takeCounts(fields, files)
  for (const file of files.values()) {
    file.path = decoded(file.path)
    if (file.from !== null) file.from = decoded(file.from)
  }
  return [...files.values()]
}

const decoded = (bytes: string) => Buffer.from(bytes, 'latin1').toString('utf8')

interface Fields {
  /** The next one; it stays. */
  next(): string
  take(): string
  left(): number
}

/** One after the other: a list that shrinks at its beginning would be moved as a whole each time. */
function readFields(text: string): Fields {
  const fields = text.split('\0')
  let at = 0
  return {
    next: () => fields[at] ?? '',
    take: () => fields[at++] ?? '',
    left: () => fields.length - at,
  }
}

/** `:<modes> <ids> <status>`, then one path, or two for a rename or copy. */
function takeRaw(fields: Fields): DiffFile {
  const letter = (fields.take().split(' ')[4] ?? 'M').slice(0, 1)
  const moved = letter === 'R' || letter === 'C'
  const first = fields.take()
  const path = moved ? fields.take() : first
  const status = STATUSES[letter] ?? 'modified'
  return { path, from: moved ? first : null, status, binary: false, insertions: 0, deletions: 0 }
}

/** `<insertions>\t<deletions>\t<path>`; with an empty path the old and the new one follow. Binary files count `-`. */
function takeCounts(fields: Fields, files: ReadonlyMap<string, DiffFile>): void {
  const [, insertions = '', deletions = '', inline = ''] =
    /^(\d+|-)\t(\d+|-)\t(.*)$/s.exec(fields.take()) ?? []
  const [, path = inline] = inline === '' ? [fields.take(), fields.take()] : []
  const file = files.get(path)
  if (!file) return
  file.binary = insertions === '-'
  file.insertions = file.binary ? 0 : Number(insertions)
  file.deletions = file.binary ? 0 : Number(deletions)
}
