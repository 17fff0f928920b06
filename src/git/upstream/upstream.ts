// What is asked of an upstream repository: its default branch, its refs and objects, to take a commit.
// Everything that git says comes back with the credential taken out.
import { isBranchName } from '../../protocol/branch-name.ts'
import { AppError } from '../../protocol/errors.ts'
import type { Git, GitCall, GitResult } from '../git-process.ts'
import type { GitPaths } from '../paths.ts'
import { redact } from './credential.ts'
import { type UpstreamNetwork, type UpstreamTarget, withUpstreamAccess } from './upstream-access.ts'
import {
  explainFailure,
  isButForRefs,
  isPassing,
  isStranger,
  upstreamError,
} from './upstream-failure.ts'

export interface Upstream {
  /** The commit and the branch that HEAD names; both null when the repository is empty. Rejects when access is refused. */
  head(
    target: UpstreamTarget,
    run: { signal: AbortSignal; onLine?: (line: string) => void },
  ): Promise<UpstreamHead>
  /** The commit of a branch; null when it has no such branch. Rejects when access is refused. */
  tip(
    target: UpstreamTarget,
    of: { branch: string; signal: AbortSignal; limitMs: number },
  ): Promise<string | null>
  fetch(target: UpstreamTarget, fetch: UpstreamFetch): Promise<void>
  /** Never rejects: how it went is the result. */
  push(target: UpstreamTarget, push: UpstreamPush): Promise<PushOutcome>
}

export interface UpstreamHead {
  commit: string | null
  branch: string | null
}

interface UpstreamFetch {
  directory: string
  /** Refspecs or commit ids. */
  wanted: readonly string[]
  prune: boolean
  signal: AbortSignal
  onLine?: (line: string) => void
}

export interface UpstreamPush {
  directory: string
  commit: string
  branch: string
  /** The commit that the branch has there and that is to be replaced; only forward when undefined. */
  replaces?: string
  limitMs: number
  signal: AbortSignal
  /** Where objects lie that are not yet part of the repository. */
  env?: Record<string, string>
}

/**
 * `refused`: the host's own no. `passing`: the host is down, slow or busy and may take it later. `stranger`: it does not know who
 * asks, as with a token that has expired, and has not looked at what is pushed.
 */
export interface PushOutcome {
  result: 'forwarded' | 'refused' | 'passing' | 'stranger'
  reason: string | null
  message: string
  /** What the host said, for the eyes of who pushed. */
  lines: string[]
}

const HEAD_LIMIT_MS = 60_000
const FETCH_LIMIT_MS = 590_000

export function createUpstream(deps: {
  git: Git
  paths: GitPaths
  network: UpstreamNetwork
}): Upstream {
  const run = (target: UpstreamTarget, call: GitCall): Promise<GitResult> =>
    withUpstreamAccess(deps, target, async (access) => {
      const onLine = call.onLine
      const result = await deps.git.run({
        ...call,
        ...access,
        env: { ...access.env, ...call.env },
        onLine: onLine && ((line) => onLine(redact(line, target.credential))),
      })
      return { ...result, stderr: redact(result.stderr, target.credential) }
    })
  return {
    head: async (target, { signal, onLine }) => {
      const args = ['ls-remote', '--symref', '--', target.url, 'HEAD']
      const result = await orTimeout(run(target, { args, signal, onLine, limitMs: HEAD_LIMIT_MS }))
      if (result.exitCode !== 0) throw upstreamError(result.stderr)
      return parseHead(result.stdout.toString('utf8'))
    },
    tip: async (target, { branch, signal, limitMs }) => {
      const ref = `refs/heads/${branch}`
      const args = ['ls-remote', '--', target.url, ref]
      const result = await orTimeout(run(target, { args, signal, limitMs }))
      if (result.exitCode !== 0) throw upstreamError(result.stderr)
      const lines = result.stdout.toString('utf8').split('\n')
      // Names that end the same way are listed as well.
      return lines.find((line) => line.slice(41) === ref)?.slice(0, 40) ?? null
    },
    fetch: async (target, { directory, wanted, prune, signal, onLine }) => {
      const args = fetchArguments(directory, prune, [target.url, ...wanted])
      const call = { args, signal, limitMs: FETCH_LIMIT_MS, onLine }
      const result = await orTimeout(run(target, call))
      if (result.exitCode !== 0 && !isButForRefs(result.stderr)) throw upstreamError(result.stderr)
      requireWhole(result.stderr)
    },
    push: (target, push) => pushBranch(run, target, push),
  }
}

function fetchArguments(directory: string, prune: boolean, rest: string[]): string[] {
  return [
    `--git-dir=${directory}`,
    'fetch',
    '--progress',
    '--no-tags',
    '--no-write-fetch-head',
    '--no-auto-maintenance',
    '--no-recurse-submodules',
    '--no-show-forced-updates',
    ...(prune ? ['--prune'] : []),
    '--',
    ...rest,
  ]
}

/** Git leaves such branches out, and is content. */
function requireWhole(stderr: string): void {
  if (!/^warning: rejected .* because shallow roots are not allowed/m.test(stderr)) return
  const message =
    'The repository has only a part of its history (git clone --depth). Fetch the rest into it first: git fetch --unshallow.'
  throw new AppError('unsupported', 'upstream_shallow', message)
}

function parseHead(text: string): UpstreamHead {
  const branch = /^ref: refs\/heads\/(.+)\tHEAD$/m.exec(text)?.[1]
  const commit = /^([0-9a-f]{40})\tHEAD$/m.exec(text)?.[1] ?? null
  return { commit, branch: branch !== undefined && isBranchName(branch) ? branch : null }
}

async function orTimeout<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    if (!isTimeout(error)) throw error
    throw new AppError('timeout', 'upstream_timeout', 'The host took too long to answer.', {
      cause: error,
    })
  }
}

function isTimeout(error: unknown): boolean {
  return error instanceof AppError && error.code === 'timeout'
}

async function pushBranch(
  run: (target: UpstreamTarget, call: GitCall) => Promise<GitResult>,
  target: UpstreamTarget,
  { directory, commit, branch, replaces, limitMs, signal, env }: UpstreamPush,
): Promise<PushOutcome> {
  const args = [
    `--git-dir=${directory}`,
    'push',
    '--porcelain',
    '--no-verify',
    '--no-signed',
    '--no-follow-tags',
    '--recurse-submodules=no',
    ...(replaces === undefined ? [] : [`--force-with-lease=refs/heads/${branch}:${replaces}`]),
    '--',
    target.url,
    `${commit}:refs/heads/${branch}`,
  ]
  try {
    const result = await run(target, { args, signal, limitMs, env })
    return readPush(result)
  } catch (error) {
    const message = isTimeout(error)
      ? `The host took longer than ${Math.round(limitMs / 1000)} seconds.`
      : `git could not push: ${error instanceof Error ? error.message : String(error)}`
    return { result: 'passing', reason: 'upstream_timeout', message, lines: [] }
  }
}

/** Of a branch: the host has not looked at what was pushed. */
const NO_ANSWERS = ['upstream_ref_busy', 'upstream_broken']

function readPush({ exitCode, stdout, stderr }: GitResult): PushOutcome {
  const lines = remoteLines(stderr)
  if (exitCode === 0) return { result: 'forwarded', reason: null, message: '', lines }
  // "!\t<from>:<to>\t[remote rejected] (pre-receive hook declined)"
  const rejected = /^!\t\S+\t(.*)$/m.exec(stdout.toString('utf8'))?.[1]
  const { reason, message } = explainFailure(`${stderr}\n${rejected ?? ''}`)
  const isNoAnswer = NO_ANSWERS.includes(reason) || /remote failure/.test(rejected ?? '')
  if (rejected !== undefined && !isNoAnswer)
    return { result: 'refused', reason: 'upstream_refused', message: rejected, lines }
  if (reason === 'repository_access_denied' && isStranger(stderr))
    return { result: 'stranger', reason, message, lines }
  return { result: isPassing(reason) ? 'passing' : 'refused', reason, message, lines }
}

function remoteLines(stderr: string): string[] {
  return stderr
    .split('\n')
    .filter((line) => line.startsWith('remote:'))
    .map((line) => line.slice('remote:'.length).replace(/^ /, '').trimEnd())
    .slice(-60)
}
