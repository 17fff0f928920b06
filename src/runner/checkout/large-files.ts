// Large files (Git LFS) of a checkout, brought when it is made and sent with the push at the end of a turn, by the git-lfs of
// the image. What cannot be had is told in the log of the phase and stops nothing: a pointer stays in its place.
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type RunResult, runProcess } from '../../lib/process.ts'
import type { Variables } from '../agent/agent-environment.ts'
import { createGitInside } from './git-inside.ts'

const LIMIT_MS = 300_000
const MOST_LINES = 20
/** One file that cannot be had would keep git from writing all the others. */
export const WITHOUT_LARGE_FILES = { GIT_LFS_SKIP_SMUDGE: '1' }
const USES = ['grep', '--quiet', '--cached', '-F', 'filter=lfs', '--', ':(glob)**/.gitattributes']

interface Place {
  folder: string
  variables: Variables
}

export function hasGitLfs({ PATH = '' }: Variables): boolean {
  return PATH.split(':').some((folder) => folder !== '' && existsSync(join(folder, 'git-lfs')))
}

/** Rejects only when `signal` aborts. */
export async function bringLargeFiles(
  { folder, variables }: Place,
  logged: (lines: string[]) => void,
  signal: AbortSignal,
): Promise<void> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(LIMIT_MS)])
  try {
    if (!(await mayUse(folder))) return
    if (!(await createGitInside(folder, variables, limit).succeeds(USES))) return
    if (!hasGitLfs(variables)) {
      logged(['Large files of this repository are missing: the image has no git-lfs.'])
      return
    }
    // It also sets the hook that sends new ones with a push.
    const result = await lfs({ folder, variables }, ['pull'], limit)
    if (result.exitCode !== 0) logged([...lastWords(result), MISSING])
  } catch (error) {
    signal.throwIfAborted()
    logged([`${MISSING} ${error instanceof Error ? error.message : String(error)}`])
  }
}

/**
 * False where git's list of files (gitformat-index) names no attributes: git need not be asked. Paths stand whole in its versions 2
 * and 3, unless it is split, with a `link` to the rest.
 */
async function mayUse(folder: string): Promise<boolean> {
  const list = await readFile(join(folder, '.git/index')).catch(() => undefined)
  const isWhole = list !== undefined && list.readUInt32BE(4) <= 3 && !list.includes('link')
  return !isWhole || list.includes('.gitattributes')
}

const MISSING = 'The session goes on without some of its large files: git lfs pull brings them.'

/**
 * Those of HEAD that its remote has not, as the hook does that a push of the agent has. `gitFolder` is that of the work tree: what
 * git-lfs keeps there says whether there are any. Resolves with what git-lfs said when it failed.
 */
export async function pushLargeFiles(
  { folder, variables, gitFolder }: Place & { gitFolder: string },
  signal: AbortSignal,
): Promise<string | undefined> {
  if (!existsSync(join(gitFolder, 'lfs')) || !hasGitLfs(variables)) return undefined
  const result = await lfs({ folder, variables }, ['push', 'origin', 'HEAD'], signal)
  return result.exitCode === 0 ? undefined : lastWords(result).join('\n')
}

function lfs({ folder, variables }: Place, args: string[], signal: AbortSignal) {
  const env = { ...variables, GIT_TERMINAL_PROMPT: '0' }
  return runProcess('git', ['lfs', ...args], { cwd: folder, env, signal })
}

function lastWords({ stdout, stderr }: RunResult): string[] {
  return `${stdout}\n${stderr}`.trim().split('\n').slice(-MOST_LINES)
}
