// Runs a program to its end with captured, capped output. Never goes through a shell.
import { type SpawnOptions, spawn } from 'node:child_process'

export interface RunOptions {
  cwd?: string
  env?: Record<string, string>
  input?: string | Buffer
  uid?: number
  gid?: number
  /** Kills the process group when it aborts. */
  signal?: AbortSignal
  /** Most bytes kept of each of stdout and stderr (the last ones); 1 MiB unless told. */
  maxOutputBytes?: number
}

export interface RunResult {
  exitCode: number
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
}

export class ProcessError extends Error {
  readonly result: RunResult
  constructor(command: string, result: RunResult) {
    const how = result.signal ? `was ended by ${result.signal}` : `exited with ${result.exitCode}`
    super(`${command} ${how}: ${lastLines(result.stderr || result.stdout, 5)}`)
    this.name = 'ProcessError'
    this.result = result
  }
}

/** Resolves with the result whatever the exit code; rejects when the program cannot be started or the signal aborts. */
export function runProcess(
  command: string,
  args: string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const { input, signal, maxOutputBytes = 1 << 20 } = options
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted()
    const child = spawn(command, args, {
      ...spawnOptions(options),
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
    })
    const onAbort = () => {
      if (child.pid) killGroup(child.pid)
      // A descendant that left the group may keep the pipes open; nobody waits for what it would still write.
      child.stdout.destroy()
      child.stderr.destroy()
    }
    signal?.addEventListener('abort', onAbort, { once: true })
    const stdout = createTail(maxOutputBytes)
    const stderr = createTail(maxOutputBytes)
    child.stdout.on('data', stdout.push)
    child.stderr.on('data', stderr.push)
    child.on('error', (error) => {
      signal?.removeEventListener('abort', onAbort)
      reject(error)
    })
    child.on('close', (code, endedBy) => {
      signal?.removeEventListener('abort', onAbort)
      if (signal?.aborted) reject(signal.reason)
      else
        resolve({
          exitCode: code ?? 128,
          signal: endedBy,
          stdout: stdout.text(),
          stderr: stderr.text(),
        })
    })
    // A program may exit before it has read its input: EPIPE here says nothing that the exit code does not.
    child.stdin.on('error', () => undefined)
    child.stdin.end(input)
  })
}

/** Like runProcess, but rejects with ProcessError when the exit code is not 0. Returns stdout. */
export async function runChecked(
  command: string,
  args: string[],
  options?: RunOptions,
): Promise<string> {
  const result = await runProcess(command, args, options)
  if (result.exitCode !== 0) throw new ProcessError(`${command} ${args[0] ?? ''}`.trim(), result)
  return result.stdout
}

export function lastLines(text: string, count: number): string {
  return text.trimEnd().split('\n').slice(-count).join('\n')
}

/** Sends SIGKILL to a process group; a group that is gone already is fine. */
export function killGroup(pid: number, signal: NodeJS.Signals = 'SIGKILL'): void {
  try {
    process.kill(-pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

function spawnOptions({ cwd, env, uid, gid }: RunOptions): SpawnOptions {
  return { cwd, env, uid, gid }
}

function createTail(maxBytes: number) {
  let parts: Buffer[] = []
  let size = 0
  return {
    push(chunk: Buffer) {
      parts.push(chunk)
      size += chunk.length
      if (size > 2 * maxBytes) {
        parts = [Buffer.concat(parts).subarray(-maxBytes)]
        size = maxBytes
      }
    },
    text: () => Buffer.concat(parts).subarray(-maxBytes).toString('utf8'),
  }
}
