// Runs the user's own git on the user's own repository, quietly and without asking anything.

import { isLoopback } from '../../lib/loopback.ts'
import { lastLines, type RunResult, runProcess } from '../../lib/process.ts'
import { AppError } from '../../protocol/errors.ts'
import type { Connection } from '../deps.ts'
import { plainLine } from '../terminal/plain-text.ts'

interface GitOptions {
  cwd: string
  env?: Record<string, string>
  signal?: AbortSignal
  /** As of `RunOptions`: for a list that grows with the repository. */
  maxOutputBytes?: number
}

/** Longer than any list of the files of a repository. */
export const WHOLE_LIST_BYTES = 1 << 28

export interface Git {
  /** Resolves whatever the exit code. */
  try(args: string[], options: GitOptions): Promise<RunResult>
  /** The output without the newline at its end; fails with `git_failed`. */
  run(args: string[], options: GitOptions): Promise<string>
}

/** Would point git at another repository than the one that was named. */
const REPOSITORY_VARIABLES = [
  'GIT_DIR',
  'GIT_WORK_TREE',
  'GIT_INDEX_FILE',
  'GIT_COMMON_DIR',
  'GIT_PREFIX',
]

export function createGit(userEnv: Record<string, string>): Git {
  const inherited = Object.entries(userEnv).filter(([name]) => !REPOSITORY_VARIABLES.includes(name))
  const base = {
    ...Object.fromEntries(inherited),
    LC_ALL: 'C',
    GIT_TERMINAL_PROMPT: '0',
    // Looking at a repository writes nothing into it, not even a fresher index.
    GIT_OPTIONAL_LOCKS: '0',
    // What is made here speaks with Errand's repositories, which are of this format.
    GIT_DEFAULT_HASH: 'sha1',
  }
  const attempt: Git['try'] = async (args, { cwd, env = {}, signal, maxOutputBytes }) => {
    try {
      return await runProcess('git', args, {
        cwd,
        env: { ...base, ...env },
        ...(signal ? { signal } : {}),
        ...(maxOutputBytes ? { maxOutputBytes } : {}),
      })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      throw new AppError('unavailable', 'git_missing', 'git is not installed', { cause: error })
    }
  }
  return {
    try: attempt,
    run: async (args, options) => {
      const result = await attempt(args, options)
      if (result.exitCode === 0) return result.stdout.replace(/\n$/, '')
      throw gitFailure(args[0] ?? '', result.stderr)
    },
  }
}

export function gitFailure(what: string, stderr: string): AppError {
  if (/No space left on device|disk quota/i.test(stderr)) {
    return new AppError('no_space', 'disk_full', `git ${what}: there is no space left on the disk`)
  }
  const said = plainLine(lastLines(stderr, 2)) || 'no reason given'
  return new AppError('unavailable', 'git_failed', `git ${what} failed: ${said}`)
}

/**
 * Lets git talk to Errand with the bearer token, by environment and for that address alone: arguments are visible to every
 * user of the machine. Other users cannot read this process's environment; programs of the same user can.
 */
export function doorEnv(
  userEnv: Record<string, string>,
  { baseUrl, token, isHere = false }: Pick<Connection, 'baseUrl' | 'token' | 'isHere'>,
): Record<string, string> {
  const settings: [string, string][] = [
    [`http.${baseUrl}/.extraHeader`, `Authorization: Bearer ${token}`],
    [`http.${baseUrl}/.followRedirects`, 'false'],
    ...(isHere || isLoopback(baseUrl)
      ? ([[`http.${baseUrl}/.proxy`, '']] as [string, string][])
      : []),
  ]
  const first = Number(userEnv.GIT_CONFIG_COUNT ?? 0) || 0
  const env: Record<string, string> = { GIT_CONFIG_COUNT: String(first + settings.length) }
  settings.forEach(([key, value], index) => {
    env[`GIT_CONFIG_KEY_${first + index}`] = key
    env[`GIT_CONFIG_VALUE_${first + index}`] = value
  })
  return env
}
