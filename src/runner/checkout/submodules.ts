// The submodules of a checkout, brought when it is made. They are no part of what a session works on: what goes wrong with
// them is told in the log of the phase and stops nothing. git gets nothing but the addresses of its usual protocols to go to.
import { existsSync } from 'node:fs'
import { appendFile, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { runProcess } from '../../lib/process.ts'
import { rewrittenSubmoduleUrl } from '../../protocol/git-door.ts'
import type { Variables } from '../agent/agent-environment.ts'
import { rewriting } from './git-config.ts'
import { createGitInside, type GitInside, type RawName, textOf } from './git-inside.ts'
import { bringLargeFiles, WITHOUT_LARGE_FILES } from './large-files.ts'

const LIMIT_MS = 300_000
const MOST_LINES = 50
const MOST_DEPTH = 8
const MOST_URL_CHARS = 1000
const UPDATE = ['submodule', 'update', '--init', '--jobs=4']
/** `ssh://…`, `user@host:path`. */
const BY_THE_DOOR = /^(?:ssh:\/\/|[A-Za-z0-9_][\w.-]*@[A-Za-z0-9.-]+:)/
/** What is asked of a person would be waited for without end; a helper or a path is no place of a submodule. */
const UNATTENDED = {
  GIT_ALLOW_PROTOCOL: 'https:http:ssh',
  GIT_TERMINAL_PROMPT: '0',
  GIT_SSH_COMMAND: 'ssh -o BatchMode=yes -o ConnectTimeout=10',
  ...WITHOUT_LARGE_FILES,
}

interface Place {
  folder: string
  variables: Variables
  /** A part of git's configuration: ways to the door are added to it. */
  rewrites: string
}

/** A checkout without `.gitmodules` costs no process. Rejects only when `signal` aborts. */
export async function bringSubmodules(
  at: Place,
  logged: (lines: string[]) => void,
  signal: AbortSignal,
): Promise<void> {
  if (!existsSync(join(at.folder, '.gitmodules'))) return
  const limit = AbortSignal.any([signal, AbortSignal.timeout(LIMIT_MS)])
  try {
    const failed = await bringLevel(at, { logged, signal: limit, depth: 0 })
    if (failed.length > 0)
      logged([`The session goes on without these submodules: ${failed.join(', ')}`])
  } catch (error) {
    signal.throwIfAborted()
    const why = error instanceof Error ? error.message : String(error)
    logged([`The session goes on without some of its submodules: ${why}`])
  }
}

interface Bringing {
  logged: (lines: string[]) => void
  signal: AbortSignal
  depth: number
}

/** Those of one repository, then what they name in turn. Resolves with the paths of those that cannot be had. */
async function bringLevel(at: Place, bringing: Bringing): Promise<string[]> {
  const { logged, signal, depth } = bringing
  const git = createGitInside(at.folder, at.variables, signal)
  const names = (await readSubmodules(git, at.folder)).map(textOf)
  signal.throwIfAborted()
  if (names.length === 0) return []
  await leadToDoor(git, at, names)
  const failed: string[] = []
  // One that cannot be had ends it for all that come after.
  if (!(await update(at, [], signal)))
    for (const name of names) if (!(await update(at, [name], signal, logged))) failed.push(name)
  const isBelow = (name: string) => !name.split('/').includes('..')
  for (const name of names.filter((one) => isBelow(one) && !failed.includes(one))) {
    const below = { ...at, folder: join(at.folder, name) }
    await bringLargeFiles(below, logged, signal)
    if (depth === MOST_DEPTH) continue
    const missing = await bringLevel(below, { ...bringing, depth: depth + 1 })
    failed.push(...missing.map((one) => join(name, one)))
  }
  return failed
}

/** ssh has no other way: the addresses are asked of git, which makes whole ones of those that are relative. */
async function leadToDoor(
  git: GitInside,
  { rewrites }: Place,
  names: readonly string[],
): Promise<void> {
  const init = ['submodule', '--quiet', 'init', '--']
  if (!(await git.succeeds(init))) for (const name of names) await git.succeeds([...init, name])
  const entries = await git
    .names(['config', '-z', '--get-regexp', '^submodule\\..*\\.url$'])
    .catch(() => [])
  const present = existsSync(rewrites) ? await readFile(rewrites, 'utf8') : ''
  const lines = entries
    .map((entry) => textOf(entry.slice(entry.indexOf('\n') + 1)))
    .filter((url) => BY_THE_DOOR.test(url) && url.length <= MOST_URL_CHARS)
    .flatMap((url) => rewriting(url, rewrittenSubmoduleUrl(url)))
  const text = lines.map((line) => `${line}\n`).join('')
  if (text !== '' && !present.includes(text)) await appendFile(rewrites, text)
}

/** Their paths, as `.gitmodules` says them. */
export async function readSubmodules(git: GitInside, folder: string): Promise<RawName[]> {
  if (!existsSync(join(folder, '.gitmodules'))) return []
  const args = ['config', '-z', '--file', '.gitmodules', '--get-regexp', '^submodule\\..*\\.path$']
  const entries = await git.names(args).catch(() => [])
  return entries.map((entry) => entry.slice(entry.indexOf('\n') + 1))
}

async function update(
  { folder, variables }: Place,
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
