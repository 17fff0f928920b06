// Brings a session's branch into the user's repository. Nothing is checked out, nothing that is there is moved backwards:
// where the name is taken by other work, a new name is used.
import { AppError } from '../../protocol/errors.ts'
import { repositoryOf, type SessionState } from '../../protocol/session.ts'
import type { Connection } from '../deps.ts'
import { doorEnv, type Git, gitFailure } from './git.ts'
import { fetchLargeFiles } from './large-files.ts'

export interface FetchedBranch {
  branch: string
  commit: string
  /** `same`: the user's repository had it already. */
  how: 'created' | 'updated' | 'same'
}

const MOST_NAMES = 100
/** As git's `update-ref` reads it: the reference must not exist. */
const NO_COMMIT = ''

export async function fetchBranch(
  git: Git,
  connection: Connection,
  env: Record<string, string>,
  {
    root,
    session,
    repository,
  }: {
    root: string
    session: Pick<SessionState, 'id' | 'repository' | 'additional'>
    /** Which of the additional ones; the main one without. */
    repository?: string | undefined
  },
): Promise<FetchedBranch> {
  const { branch, source } = repositoryOf(session, repository) ?? session.repository
  const kept = `refs/errand/${session.id}`
  const which = repository === undefined ? '' : `/repositories/${repository}`
  const url = `${connection.baseUrl}/api/v1/git/sessions/${session.id}${which}`
  const options = ['--quiet', '--no-tags', '--no-write-fetch-head', '--no-recurse-submodules']
  const args = ['fetch', ...options, '--', url, `+refs/heads/${branch}:${kept}`]
  const fetched = await git.try(args, { cwd: root, env: doorEnv(env, connection) })
  if (fetched.exitCode !== 0) {
    if (/couldn't find remote ref/.test(fetched.stderr)) {
      throw new AppError('not_found', 'branch_not_pushed', `nothing was pushed to ${branch}`)
    }
    throw gitFailure('fetch', fetched.stderr)
  }
  try {
    const commit = await git.run(['rev-parse', kept], { cwd: root })
    const placed = await placeBranch(git, root, { branch, commit })
    // What came from a host has its large files there.
    if (source.kind !== 'remote') await fetchLargeFiles(git, connection, env, { root, commit, url })
    return placed
  } finally {
    await git.try(['update-ref', '-d', kept], { cwd: root })
  }
}

async function placeBranch(
  git: Git,
  root: string,
  { branch, commit }: { branch: string; commit: string },
): Promise<FetchedBranch> {
  const own = await possibleName(git, root, branch)
  for (let number = 1; number <= MOST_NAMES; number++) {
    const name = number === 1 ? own : `${own}-${number}`
    const ref = `refs/heads/${name}`
    const existing = await git.try(['rev-parse', '--verify', '--quiet', ref], { cwd: root })
    const before = existing.exitCode === 0 ? existing.stdout.trim() : NO_COMMIT
    if (before === commit) return { branch: name, commit, how: 'same' }
    if (before !== NO_COMMIT && !(await mayMove(git, root, { ref, before, commit }))) continue
    // With the old value: a branch that somebody else moved meanwhile is left alone.
    const moved = await git.try(['update-ref', ref, commit, before], { cwd: root })
    if (moved.exitCode === 0)
      return { branch: name, commit, how: before === NO_COMMIT ? 'created' : 'updated' }
  }
  throw new AppError('conflict', 'branch_names_taken', `${branch} and its numbered names are taken`)
}

/** Git keeps branches as folders and files: beside a branch `errand` there is none below `errand/`. */
async function possibleName(git: Git, root: string, branch: string): Promise<string> {
  const parts = branch.split('/')
  for (let count = 1; count < parts.length; count++) {
    const ref = `refs/heads/${parts.slice(0, count).join('/')}`
    const found = await git.try(['show-ref', '--verify', '--quiet', ref], { cwd: root })
    if (found.exitCode === 0) return branch.replaceAll('/', '-')
  }
  return branch
}

async function mayMove(
  git: Git,
  root: string,
  { ref, before, commit }: { ref: string; before: string; commit: string },
): Promise<boolean> {
  const ahead = await git.try(['merge-base', '--is-ancestor', before, commit], { cwd: root })
  if (ahead.exitCode !== 0) return false
  const worktrees = await git.run(['worktree', 'list', '--porcelain'], { cwd: root })
  return !worktrees.split('\n').includes(`branch ${ref}`)
}
