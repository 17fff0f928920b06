// The end of an agent's turn: what it changed is committed and pushed to the session's branch. A turn without a change makes
// no commit and no push; a merge or rebase in progress and a detached HEAD are left alone. Command turns never come here.
import { existsSync } from 'node:fs'
import { copyFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { type Backoff, backoffMs } from '../../lib/backoff.ts'
import { delay } from '../../lib/deadline.ts'
import { ProcessError, type RunResult, runProcess } from '../../lib/process.ts'
import { type LfsCredentialReason, lfsReasonIn } from '../../protocol/git-door.ts'
import type { Variables } from '../agent/agent-environment.ts'
import { createGitInside } from '../checkout/git-inside.ts'
import { pushLargeFiles } from '../checkout/large-files.ts'
import { clearStaleLocks } from '../checkout/stale-locks.ts'
import { describeSubmodules, leaveOutRepositories, newOnes } from './repositories-inside.ts'

const MESSAGE_CHARS = 72
const PUSH_AGAIN: Backoff = { firstMs: 500, mostMs: 8_000 }
const MOST_PUSHES_AGAIN = 5
/** With 1 it has done what it could, but for files that it could not read and repositories inside without a commit. */
const GIT_DIED = 128
const LEFT_OUT = /^error: /
const MOST_LEFT_OUT = 20
const NOT_ALL =
  'Not all files are in the branch; those of a repository inside of this one never are.'
const HELD_BY_SUBMODULES =
  'Of a submodule the branch holds the id of a commit alone. This is in the sandbox only, and is not saved:'
const UNFINISHED = [
  'MERGE_HEAD',
  'CHERRY_PICK_HEAD',
  'REVERT_HEAD',
  'rebase-merge',
  'rebase-apply',
  'BISECT_LOG',
]

/** What the work tree was like. */
export interface Snapshot {
  /** The commit. */
  head: string
  /** All files that are not ignored; null where they are those of the commit. */
  tree: string | null
  /** What submodules hold that nobody else has, in words. */
  submodules?: string[] | undefined
}

export interface FinishDeps {
  folder: string
  branch: string
  /** The commit that the session started from: it is known outside. */
  baseCommit: string
  variables: Variables
  /** Between the tries of a push that got no answer. */
  pushAgain?: Backoff
}

interface Turn {
  prompt: string
  /** What it started from. */
  before: Snapshot | null
}

export interface FinishOutcome {
  /** What a person should know, in the kinds of `agent.notice`. */
  notices: { kind: 'commit' | 'push' | LfsCredentialReason; text: string }[]
  /** Commits are here that are not outside: the next turn's end tries again. */
  pushPending: boolean
  /** What the turn changed is in no commit: it counts as changed by the next one. */
  isUncommitted: boolean
}

export async function takeSnapshot(deps: FinishDeps, signal: AbortSignal): Promise<Snapshot> {
  const { head, isClean } = await look(deps, signal)
  const submodules = await describeSubmodules(deps, signal)
  return { head, tree: isClean ? null : await treeOfFiles(deps, signal), submodules }
}

/** The tree is made only where it decides. */
async function hasChanged(
  deps: FinishDeps,
  before: Snapshot,
  signal: AbortSignal,
): Promise<boolean> {
  const { head, isClean } = await look(deps, signal)
  if (head !== before.head) return true
  if (before.tree === null) return !isClean
  return isClean || (await treeOfFiles(deps, signal)) !== before.tree
}

const STATUS = [
  ...['--no-optional-locks', 'status', '--porcelain=v2', '--branch', '--no-ahead-behind'],
  ...['--untracked-files=normal', '--ignore-submodules=dirty', '--no-renames'],
]

/** One program of git; what it says first of all is the commit, unless it has so much to say that this was cut off. */
async function look(deps: FinishDeps, signal: AbortSignal) {
  const said = await git(deps, STATUS, signal)
  const head = /^# branch\.oid (\S+)$/m.exec(said)?.[1]
  return {
    head: head ?? (await git(deps, ['rev-parse', 'HEAD'], signal)),
    isClean: said.split('\n').every((line) => line.startsWith('# ')),
  }
}

/** The index of the work tree stays as it is. */
async function treeOfFiles(deps: FinishDeps, signal: AbortSignal): Promise<string> {
  const scratch = await mkdtemp(join(tmpdir(), 'errand-index-'))
  try {
    const path = await git(deps, ['rev-parse', '--git-path', 'index'], signal)
    const index = resolve(deps.folder, path)
    const copy = join(scratch, 'index')
    // The copy of the index keeps what git knows of unchanged files, so that only changed ones are read.
    if (existsSync(index)) await copyFile(index, copy)
    const variables = { ...deps.variables, GIT_INDEX_FILE: copy }
    const scratchDeps = { ...deps, variables }
    const added = await addAll(scratchDeps, signal)
    if (added.exitCode === GIT_DIED) throw new ProcessError('git add', added)
    return await git(scratchDeps, ['write-tree'], signal)
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

/** `before` is what the turn started from; null means that it is not known, and whatever is there belongs to it. */
export async function finishWork(
  deps: FinishDeps,
  turn: Turn & { pushPending: boolean },
  signal: AbortSignal,
): Promise<FinishOutcome> {
  const { before, pushPending } = turn
  const obstacle = await findObstacle(deps, signal)
  const looking = before === null || hasChanged(deps, before, signal)
  if (obstacle) {
    const notices = [{ kind: 'commit' as const, text: obstacle }]
    const isUncommitted = await Promise.resolve(looking).catch(() => true)
    return { notices, pushPending, isUncommitted }
  }
  const isChanged = await looking
  if (!isChanged && !pushPending) {
    const notices = await heldBySubmodules(deps, before, signal)
    return { notices, pushPending, isUncommitted: false }
  }
  const committed = isChanged ? await commitAll(deps, turn, signal) : undefined
  const pushed = await pushAhead(deps, signal)
  const held = await heldBySubmodules(deps, before, signal)
  return {
    notices: [...(committed?.notices ?? []), ...held, ...(pushed ? [pushed] : [])],
    pushPending: pushed !== undefined,
    isUncommitted: committed?.isUncommitted ?? false,
  }
}

/** The first line of the prompt, short enough for a commit's first line. */
export function commitMessage(prompt: string): string {
  const line = prompt.trim().split('\n', 1)[0]?.replace(/\s+/g, ' ').trim() ?? ''
  if (line === '') return 'Work of one turn'
  const chars = [...line]
  return chars.length <= MESSAGE_CHARS ? line : `${chars.slice(0, MESSAGE_CHARS - 1).join('')}…`
}

async function findObstacle(deps: FinishDeps, signal: AbortSignal): Promise<string | undefined> {
  const folder = resolve(deps.folder, await git(deps, ['rev-parse', '--git-dir'], signal))
  const unfinished = UNFINISHED.find((name) => existsSync(join(folder, name)))
  if (unfinished)
    return `A merge, rebase or the like is in progress (${unfinished}): nothing was committed or pushed.`
  const head = await run(deps, ['symbolic-ref', '--quiet', 'HEAD'], signal)
  if (head.exitCode !== 0) return 'HEAD is detached: nothing was committed or pushed.'
  return undefined
}

async function commitAll(deps: FinishDeps, { prompt, before }: Turn, signal: AbortSignal) {
  const { folder, variables } = deps
  const gitFolder = resolve(folder, await git(deps, ['rev-parse', '--git-dir'], signal))
  // As of a commit of the agent that was killed with it.
  await clearStaleLocks({ folder, gitFolder }, signal)
  const added = await addAll(deps, signal)
  if (added.exitCode === GIT_DIED) return uncommitted(added)
  const inside = createGitInside(folder, variables, signal)
  const links = await leaveOutRepositories(inside, folder)
  const left = leftOut(added, await newOnes(inside, links, before?.tree ?? null))
  const staged = await run(deps, ['diff', '--cached', '--quiet'], signal)
  if (staged.exitCode === 0) return left
  const message = commitMessage(prompt)
  const result = await run(deps, ['commit', '--quiet', '-m', message], signal)
  return result.exitCode === 0 ? left : uncommitted(result)
}

/** What lies in the work tree and came into no commit, in git's own words where it has some. */
function leftOut({ stderr }: RunResult, repositories: string[]) {
  const errors = stderr.split('\n').filter((line) => LEFT_OUT.test(line))
  const words = [...errors, ...repositories.map((name) => `'${name}/' is a repository of its own`)]
  const text = [NOT_ALL, ...words.slice(0, MOST_LEFT_OUT)].join('\n')
  const notices = words.length === 0 ? [] : [{ kind: 'commit' as const, text }]
  return { notices, isUncommitted: false }
}

/** Since the turn began. */
async function heldBySubmodules(deps: FinishDeps, before: Snapshot | null, signal: AbortSignal) {
  const lines = await describeSubmodules(deps, signal)
  const news = lines.filter((line) => !before?.submodules?.includes(line))
  const text = [HELD_BY_SUBMODULES, ...news].join('\n')
  return news.length === 0 ? [] : [{ kind: 'commit' as const, text }]
}

const uncommitted = (result: RunResult) => {
  const text = `The changes could not be committed.\n${words(result)}`
  return { notices: [{ kind: 'commit' as const, text }], isUncommitted: true }
}

/**
 * Pushes when HEAD has commits that are not outside yet; those of the session's branch are to be in that branch, also where another
 * one outside holds them. Answers with a notice when that failed.
 */
async function pushAhead(deps: FinishDeps, signal: AbortSignal) {
  const { branch, baseCommit } = deps
  const isOwn = (await git(deps, ['symbolic-ref', 'HEAD'], signal)) === `refs/heads/${branch}`
  const outside = isOwn ? `refs/remotes/origin/${branch}` : '--remotes=origin'
  const count = ['rev-list', '--count', '--ignore-missing', 'HEAD']
  if ((await git(deps, [...count, '--not', outside, baseCommit, '--'], signal)) === '0')
    return undefined
  const gitFolder = resolve(deps.folder, await git(deps, ['rev-parse', '--git-common-dir'], signal))
  const unsent = await pushLargeFiles({ ...deps, gitFolder }, signal)
  if (unsent !== undefined)
    return { kind: lfsReasonIn(unsent) ?? ('push' as const), text: `${UNSENT}\n${unsent}` }
  const target = `HEAD:refs/heads/${branch}`
  const push = ['push', '--porcelain', 'origin', target]
  let result = await run(deps, push, signal)
  for (let attempt = 0; gotNoAnswer(result) && attempt < MOST_PUSHES_AGAIN; attempt++) {
    await delay(backoffMs(deps.pushAgain ?? PUSH_AGAIN, attempt, Math.random()), signal)
    result = await run(deps, push, signal)
  }
  if (result.exitCode === 0) return undefined
  return { kind: 'push' as const, text: `The push to ${branch} failed.\n${words(result)}` }
}

const UNSENT =
  'Large files (LFS) could not be sent. The commits wait in the sandbox; the end of the next turn sends both.'

/** A refusal is said of the branch, in a line of its own; a push that broke off, or came through to nobody, has none. */
const gotNoAnswer = ({ exitCode, stdout }: RunResult) => exitCode !== 0 && !/^!\t/m.test(stdout)

const words = ({ stdout, stderr }: RunResult) => `${stderr.trim()}\n${stdout.trim()}`.trim()

function addAll(deps: FinishDeps, signal: AbortSignal): Promise<RunResult> {
  return run(deps, ['add', '--all', '--ignore-errors', '--', '.'], signal)
}

/** One that refuses or never ends must not lose the work, and `--no-verify` leaves out some of them only. */
const WITHOUT_HOOKS = ['-c', 'core.hooksPath=/dev/null']

async function git(deps: FinishDeps, args: string[], signal: AbortSignal): Promise<string> {
  const result = await run(deps, args, signal)
  if (result.exitCode !== 0) throw new ProcessError(`git ${args[0]}`, result)
  return result.stdout.trim()
}

function run(deps: FinishDeps, args: string[], signal: AbortSignal): Promise<RunResult> {
  const { folder, variables } = deps
  return runProcess('git', [...WITHOUT_HOOKS, ...args], { cwd: folder, env: variables, signal })
}
