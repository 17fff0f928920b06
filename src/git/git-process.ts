// Starts git: from an environment built from nothing, in a process group of its own that dies with its request, with
// gitd itself, and at a deadline. Never takes a secret as an argument.
// Does not protect against a flaw in git itself beyond that it runs as gitd's user without new privileges, with a cap on
// its memory, and without system or user configuration; it may read everything that gitd's user may read.
import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process'
import { killGroup, lastLines } from '../lib/process.ts'
import { AppError } from '../protocol/errors.ts'
import { NO_ROOM } from './upstream/upstream-failure.ts'

export type Settings = readonly (readonly [key: string, value: string])[]

export interface GitStart {
  args: readonly string[]
  /** Git configuration, handed over in the environment. May hold secrets. */
  settings?: Settings
  env?: Record<string, string>
  /** Protocols that git may speak, as in GIT_ALLOW_PROTOCOL; none unless told. */
  protocols?: string
  /** Most that each process may take; 4 GiB unless told. */
  memoryBytes?: number
}

export interface GitCall extends GitStart {
  input?: string
  signal?: AbortSignal
  limitMs?: number
  /** Most bytes of stdout; the process is ended when it writes more. */
  maxBytes?: number
  /** Is given each line of stderr, also those that end in a carriage return. */
  onLine?: (line: string) => void
}

export interface GitResult {
  exitCode: number
  stdout: Buffer
  stderr: string
  /** stdout was longer than `maxBytes` and is cut there. */
  truncated: boolean
}

export interface Git {
  start(start: GitStart, stdio: StdioOptions): ChildProcess
  /** Resolves whatever the exit code; rejects at the deadline, when the signal aborts, or when git cannot be started. */
  run(call: GitCall): Promise<GitResult>
  /** stdout as text; rejects with an AppError when the exit code is not 0. */
  text(call: GitCall): Promise<string>
}

const MEMORY_BYTES = 4 * 1024 ** 3
const STDERR_BYTES = 64 * 1024
const DEFAULT_LIMIT_MS = 60_000
/** For git to end by itself when it is asked to. */
const END_LIMIT_MS = 2_000

/** What holds for every git: no garbage collection behind our back, no prompts, no attributes or hooks but our own. */
const COMMON_SETTINGS: Settings = [
  ['core.hooksPath', '/dev/null'],
  ['core.attributesFile', '/dev/null'],
  ['core.excludesFile', '/dev/null'],
  ['core.bigFileThreshold', '64m'],
  ['core.fsmonitor', 'false'],
  ['credential.helper', ''],
  // What is fetched stays in packs: nothing would ever collect loose objects.
  ['fetch.unpackLimit', '1'],
  ['gc.auto', '0'],
  ['maintenance.auto', 'false'],
  ['receive.autogc', 'false'],
  ['advice.detachedHead', 'false'],
  ['init.defaultBranch', 'main'],
  ['pack.threads', '1'],
]

export function createGit(deps: { home: string; path: string }): Git {
  const start: Git['start'] = (
    { args, settings = [], env = {}, protocols = 'none', memoryBytes = MEMORY_BYTES },
    stdio,
  ) =>
    spawn(
      'setpriv',
      [
        ...['--pdeathsig', 'KILL', '--no-new-privs'],
        ...['prlimit', '--core=0', `--data=${memoryBytes}`],
        ...['git', ...args],
      ],
      {
        stdio,
        detached: true,
        cwd: deps.home,
        env: {
          ...baseEnvironment(deps, protocols),
          ...settingsEnvironment([...COMMON_SETTINGS, ...settings]),
          ...env,
        },
      },
    )
  const run = (call: GitCall) => runToEnd(start(call, ['pipe', 'pipe', 'pipe']), call)
  return {
    start,
    run,
    text: async (call) => {
      const result = await run(call)
      if (result.exitCode !== 0) throw gitFailed(call.args, result)
      return result.stdout.toString('utf8')
    },
  }
}

/**
 * Ends the group of a child that `Git.start` started. Git is asked first: it takes its locks and temporary files away, which would
 * stop everybody who writes the same branch later. What is left of its group after two seconds is killed.
 */
export function endGit(child: ChildProcess): void {
  const { pid } = child
  if (pid === undefined) return
  if (child.exitCode !== null || child.signalCode !== null) {
    signalGroup(pid, 'SIGKILL')
    return
  }
  signalGroup(pid, 'SIGTERM')
  const timer = setTimeout(() => signalGroup(pid, 'SIGKILL'), END_LIMIT_MS)
  // What git has called may be ending as well, or not want to.
  child.once('exit', () => {
    if (!isGroupLeft(pid)) clearTimeout(timer)
  })
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    killGroup(pid, signal)
  } catch (error) {
    // The group has ended and its number is another user's by now.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error
  }
}

function isGroupLeft(pid: number): boolean {
  try {
    return process.kill(-pid, 0)
  } catch {
    return false
  }
}

function gitFailed(args: readonly string[], result: GitResult): AppError {
  const verb = args.find((arg) => /^[a-z][a-z-]+$/.test(arg)) ?? ''
  const said = lastLines(result.stderr, 5)
  const message = `git ${verb} exited with ${result.exitCode}: ${said}`
  return NO_ROOM.test(result.stderr)
    ? new AppError('no_space', 'disk_full', message)
    : new AppError('internal', 'git_failed', message)
}

function baseEnvironment(deps: { home: string; path: string }, protocols: string) {
  return {
    PATH: deps.path,
    HOME: deps.home,
    SHELL: '/bin/sh',
    LC_ALL: 'C',
    TZ: 'UTC',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_SYSTEM: '/dev/null',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_ATTR_NOSYSTEM: '1',
    // The empty tree: attributes of the repository itself are never honoured (git 2.41 and later read them from HEAD).
    GIT_ATTR_SOURCE: '4b825dc642cb6eb9a060e54bf8d69288fbee4904',
    GIT_NO_REPLACE_OBJECTS: '1',
    GIT_TERMINAL_PROMPT: '0',
    GIT_ALLOW_PROTOCOL: protocols,
  }
}

function settingsEnvironment(settings: Settings): Record<string, string> {
  const env: Record<string, string> = { GIT_CONFIG_COUNT: String(settings.length) }
  for (const [index, [key, value]] of settings.entries()) {
    env[`GIT_CONFIG_KEY_${index}`] = key
    env[`GIT_CONFIG_VALUE_${index}`] = value
  }
  return env
}

function runToEnd(child: ChildProcess, call: GitCall): Promise<GitResult> {
  const { signal, limitMs = DEFAULT_LIMIT_MS, maxBytes = 64 << 20, onLine } = call
  return new Promise((resolve, reject) => {
    const output = collectHead(maxBytes, () => endGit(child))
    const errors = collectTail(STDERR_BYTES, onLine)
    let ended: unknown
    const end = (reason: unknown) => {
      ended ??= reason
      endGit(child)
    }
    const timer = setTimeout(
      () => end(new AppError('timeout', 'git_timeout', `git took longer than ${limitMs} ms`)),
      limitMs,
    )
    const onAbort = () => end(signal?.reason ?? new Error('aborted'))
    const settle = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    }
    if (signal?.aborted) onAbort()
    else signal?.addEventListener('abort', onAbort, { once: true })
    child.stdout?.on('data', output.push)
    child.stderr?.on('data', errors.push)
    child.on('error', (cause) => {
      settle()
      reject(new AppError('unavailable', 'git_not_started', 'git could not be started', { cause }))
    })
    child.on('close', (code) => {
      settle()
      if (ended !== undefined) reject(ended)
      else resolve({ exitCode: code ?? 128, stderr: errors.text(), ...output.result() })
    })
    // git may exit before it has read its input: EPIPE says nothing that the exit code does not.
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(call.input ?? '')
  })
}

function collectHead(maxBytes: number, onFull: () => void) {
  const parts: Buffer[] = []
  let size = 0
  let truncated = false
  return {
    push: (chunk: Buffer) => {
      if (truncated) return
      parts.push(chunk)
      size += chunk.length
      if (size > maxBytes) {
        truncated = true
        onFull()
      }
    },
    result: () => ({ stdout: Buffer.concat(parts).subarray(0, maxBytes), truncated }),
  }
}

/** Keeps the last bytes and hands on whole lines; progress lines (that end in a carriage return) are not kept. */
function collectTail(maxBytes: number, onLine?: (line: string) => void) {
  let kept = ''
  let open = ''
  const take = (line: string, end: string) => {
    if (line !== '') onLine?.(line)
    if (end !== '\r') kept = `${kept}${line}\n`.slice(-maxBytes)
  }
  return {
    push: (chunk: Buffer) => {
      const parts = (open + chunk.toString('utf8')).split(/(\r\n|\r|\n)/)
      open = (parts.pop() ?? '').slice(-maxBytes)
      for (let i = 0; i + 1 < parts.length; i += 2) take(parts[i] ?? '', parts[i + 1] ?? '')
    },
    text: () => kept + open,
  }
}
