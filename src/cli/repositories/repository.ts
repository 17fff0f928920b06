// A repository on the user's disk: what is in it, and the commit that a session starts from. Work tree, index and branches
// are only ever read; what is not committed goes into a commit that no branch names.
import { copyFile, mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { AppError } from '../../protocol/errors.ts'
import type { Connection } from '../deps.ts'
import { plainLine } from '../terminal/plain-text.ts'
import { doorEnv, type Git, gitFailure, WHOLE_LIST_BYTES } from './git.ts'
import { pushLargeFiles } from './large-files.ts'

export interface LocalRepository {
  root: string
  name: string
  isBare: boolean
  /** The branch that the session starts from; made up for a detached HEAD. */
  branch: string
  commit: string
  /** `remote.origin.url` without user and password. */
  origin: string | null
  /** Paths that differ from `commit` in the work tree. */
  uncommitted: string[]
}

/** A URL or `user@host:path` is remote; everything else is a path. */
export function isRemoteUrl(repository: string): boolean {
  if (/^file:\/\//i.test(repository)) return false
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(repository) || /^[^/:@\s]+@[^/:\s]+:/.test(repository)
}

export async function inspectRepository(
  git: Git,
  path: string,
  branch: string | undefined,
): Promise<LocalRepository> {
  const { root, isBare } = await findRoot(git, path)
  // Not with `--short`, which says `heads/v1` where there is a tag of this name.
  const head = await git.try(['symbolic-ref', '--quiet', 'HEAD'], { cwd: root })
  const current = head.exitCode === 0 ? head.stdout.trim().replace(/^refs\/heads\//, '') : undefined
  const commit = await resolveCommit(git, root, branch)
  const origin = await git.try(['config', '--get', 'remote.origin.url'], { cwd: root })
  const isCurrent = branch === undefined || branch === current
  return {
    ...{ root, isBare, commit, branch: branch ?? current ?? 'main' },
    name: basename(root).replace(/\.git$/, '') || 'repository',
    origin: origin.exitCode === 0 ? withoutCredentials(origin.stdout.trim()) : null,
    uncommitted: isBare || !isCurrent ? [] : await listUncommitted(git, root),
  }
}

async function findRoot(git: Git, path: string): Promise<{ root: string; isBare: boolean }> {
  const start = resolve(path)
  const found = await stat(start).catch(() => undefined)
  if (!found?.isDirectory()) {
    throw new AppError('not_found', 'path_not_found', `there is no folder ${plainLine(path)}`)
  }
  const bare = await git.try(['rev-parse', '--is-bare-repository'], { cwd: start })
  if (bare.exitCode !== 0) throw noRepository(path, bare.stderr)
  const isBare = bare.stdout.trim() === 'true'
  const question = isBare ? ['rev-parse', '--absolute-git-dir'] : ['rev-parse', '--show-toplevel']
  const root = await git.try(question, { cwd: start })
  if (root.exitCode !== 0) throw noRepository(path, root.stderr)
  return { root: root.stdout.replace(/\n$/, ''), isBare }
}

function noRepository(path: string, stderr: string): AppError {
  if (stderr.includes('dubious ownership')) {
    const message = `${plainLine(path)} belongs to another user: git wants it in safe.directory first`
    return new AppError('forbidden', 'repository_not_trusted', message)
  }
  const message = `there is no git repository at ${plainLine(path)}`
  return new AppError('not_found', 'no_repository', message)
}

async function resolveCommit(git: Git, root: string, branch: string | undefined): Promise<string> {
  if (branch?.startsWith('-')) {
    throw new AppError('invalid', 'branch_invalid', 'a branch does not begin with a dash')
  }
  const candidates = branch === undefined ? ['HEAD'] : [`refs/heads/${branch}`, branch]
  for (const candidate of candidates) {
    const args = ['rev-parse', '--verify', '--quiet', `${candidate}^{commit}`]
    const found = await git.try(args, { cwd: root })
    if (found.exitCode === 0) return found.stdout.trim()
  }
  if (branch !== undefined) {
    const message = `there is no branch ${plainLine(branch)} in ${plainLine(root)}`
    throw new AppError('not_found', 'branch_not_found', message)
  }
  const message = `${plainLine(root)} has no commit yet: make one first`
  throw new AppError('invalid', 'empty_repository', message)
}

async function listUncommitted(git: Git, root: string): Promise<string[]> {
  const args = ['status', '--porcelain=v1', '-z', '--untracked-files=normal', '--no-renames']
  const entries = (await git.run(args, { cwd: root, maxOutputBytes: WHOLE_LIST_BYTES })).split('\0')
  return entries.filter((entry) => entry.length > 3).map((entry) => entry.slice(3))
}

function withoutCredentials(url: string): string {
  if (!URL.canParse(url)) return url
  const parsed = new URL(url)
  const isWeb = parsed.protocol === 'http:' || parsed.protocol === 'https:'
  if (parsed.password === '' && !(isWeb && parsed.username !== '')) return url
  if (isWeb) parsed.username = ''
  parsed.password = ''
  return parsed.href
}

/** A commit of everything in the work tree that is not ignored, on top of `commit`. */
export async function commitUncommitted(
  git: Git,
  { root, commit }: Pick<LocalRepository, 'root' | 'commit'>,
): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'errand-index-'))
  try {
    const index = join(folder, 'index')
    const ownIndex = await git.run(['rev-parse', '--git-path', 'index'], { cwd: root })
    const copied = await copyFile(resolve(root, ownIndex), index).then(
      () => true,
      () => false,
    )
    const options = { cwd: root, env: { GIT_INDEX_FILE: index, ...(await identityEnv(git, root)) } }
    if (!copied) await git.run(['read-tree', commit], options)
    await git.run(['add', '--all'], options)
    const tree = await git.run(['write-tree'], options)
    return await git.run(['commit-tree', tree, '-p', commit, '-m', 'Uncommitted changes'], options)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function identityEnv(git: Git, root: string): Promise<Record<string, string>> {
  const known = await git.try(['var', 'GIT_COMMITTER_IDENT'], { cwd: root })
  if (known.exitCode === 0) return {}
  const [name, email] = ['Errand', 'errand@localhost']
  return {
    ...{ GIT_AUTHOR_NAME: name, GIT_AUTHOR_EMAIL: email },
    ...{ GIT_COMMITTER_NAME: name, GIT_COMMITTER_EMAIL: email },
  }
}

export interface Push {
  root: string
  commit: string
  branch: string
  gitPath: string
  signal?: AbortSignal
}

/** Sends the commit, its history and its large files to an upload. Hooks of the repository do not run. */
export async function pushCommit(
  git: Git,
  connection: Connection,
  env: Record<string, string>,
  { root, commit, branch, gitPath, signal }: Push,
): Promise<void> {
  const url = `${connection.baseUrl}${gitPath}`
  const options = [
    '--quiet',
    '--no-verify',
    '--no-signed',
    '--no-follow-tags',
    '--recurse-submodules=no',
  ]
  const args = ['push', ...options, '--', url, `${commit}:refs/heads/${branch}`]
  const result = await git.try(args, {
    ...{ cwd: root, env: doorEnv(env, connection) },
    ...(signal ? { signal } : {}),
  })
  if (result.exitCode === 0)
    return pushLargeFiles(git, connection, env, { root, commit, url, signal })
  if (/shallow update not allowed/.test(result.stderr)) {
    const message = 'this clone has only part of its history: run git fetch --unshallow first'
    throw new AppError('unsupported', 'shallow_repository', message)
  }
  throw gitFailure('push', result.stderr)
}
