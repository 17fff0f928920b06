// The submodules of a checkout, brought when it is made. They are no part of what a session works on: what goes wrong with
// them is told in the log of the phase and stops nothing. git gets nothing but the addresses of its usual protocols to go to.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { runProcess } from '../../lib/process.ts'
import type { Variables } from '../agent/agent-environment.ts'
import { createGitInside, type GitInside, type RawName } from './git-inside.ts'

const LIMIT_MS = 300_000
const MOST_LINES = 50
const UPDATE = ['submodule', 'update', '--init', '--recursive', '--jobs=4']
/** What is asked of a person would be waited for without end; a helper or a path is no place of a submodule. */
const UNATTENDED = {
  GIT_ALLOW_PROTOCOL: 'https:http:ssh',
  GIT_TERMINAL_PROMPT: '0',
  GIT_SSH_COMMAND: 'ssh -o BatchMode=yes -o ConnectTimeout=10',
}

/** A checkout without `.gitmodules` costs no process. Rejects only when `signal` aborts. */
export async function bringSubmodules(
  at: { folder: string; variables: Variables },
  logged: (lines: string[]) => void,
  signal: AbortSignal,
): Promise<void> {
  if (!existsSync(join(at.folder, '.gitmodules'))) return
  const limit = AbortSignal.any([signal, AbortSignal.timeout(LIMIT_MS)])
  try {
    if (await update(at, [], limit)) return
    // One that cannot be had ends it for all that come after.
    const git = createGitInside(at.folder, at.variables, limit)
    const failed: string[] = []
    for (const raw of await readSubmodules(git, at.folder)) {
      const name = Buffer.from(raw, 'latin1').toString('utf8')
      if (!(await update(at, [name], limit, logged))) failed.push(name)
    }
    if (failed.length > 0)
      logged([`The session goes on without these submodules: ${failed.join(', ')}`])
  } catch (error) {
    signal.throwIfAborted()
    const why = error instanceof Error ? error.message : String(error)
    logged([`The session goes on without some of its submodules: ${why}`])
  }
}

/** Their paths, as `.gitmodules` says them. */
export async function readSubmodules(git: GitInside, folder: string): Promise<RawName[]> {
  if (!existsSync(join(folder, '.gitmodules'))) return []
  const args = ['config', '-z', '--file', '.gitmodules', '--get-regexp', '^submodule\\..*\\.path$']
  const entries = await git.names(args).catch(() => [])
  return entries.map((entry) => entry.slice(entry.indexOf('\n') + 1))
}

async function update(
  { folder, variables }: { folder: string; variables: Variables },
  names: string[],
  signal: AbortSignal,
  logged: (lines: string[]) => void = () => undefined,
): Promise<boolean> {
  const env = { ...variables, ...UNATTENDED }
  const result = await runProcess('git', [...UPDATE, '--', ...names], { cwd: folder, env, signal })
  if (result.exitCode === 0) return true
  logged(result.stderr.trim().split('\n').slice(-MOST_LINES))
  return false
}
