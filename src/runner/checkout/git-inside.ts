// Git on the checkout for the runner's own purposes: it runs no hook of the repository, and names of files stay bytes.
// A list of names comes as strings of one character a byte (latin1), since a name need not be valid UTF-8.
import { spawn } from 'node:child_process'
import { killGroup, ProcessError } from '../../lib/process.ts'
import type { Variables } from '../agent/agent-environment.ts'

const QUIET = [
  ...['-c', 'core.hooksPath=/dev/null', '-c', 'core.fsmonitor=false', '-c', 'gc.auto=0'],
  ...['-c', 'core.splitIndex=false', '-c', 'advice.addEmbeddedRepo=false'],
]
const STDERR_CHARS = 4_000

/** A file's name as git gives it, one character a byte. */
export type RawName = string

/** As people read it. */
export const textOf = (raw: RawName) => Buffer.from(raw, 'latin1').toString('utf8')

export interface GitInside {
  /** stdout as text, trimmed; rejects with git's own words when it fails. */
  text(args: string[], call?: GitCall): Promise<string>
  /** The names that a command with `-z` gives. */
  names(args: string[], call?: GitCall): Promise<RawName[]>
  succeeds(args: string[], call?: GitCall): Promise<boolean>
}

export interface GitCall {
  /** Names, one after the other, each with a zero byte. */
  names?: RawName[]
  input?: string
  cwd?: string
  env?: Variables
}

export function createGitInside(cwd: string, env: Variables, signal: AbortSignal): GitInside {
  const run = (args: string[], call: GitCall = {}) =>
    runGit([...QUIET, ...args], {
      cwd: call.cwd ?? cwd,
      env: { ...env, ...call.env },
      input: call.names ? Buffer.from(call.names.map(zeroEnded).join(''), 'latin1') : call.input,
      signal,
    })
  const checked = async (args: string[], call?: GitCall) => {
    const { exitCode, stdout, stderr } = await run(args, call)
    if (exitCode !== 0)
      throw new ProcessError(`git ${args[0]}`, { exitCode, signal: null, stdout: '', stderr })
    return stdout
  }
  return {
    text: async (args, call) => (await checked(args, call)).toString('utf8').trim(),
    names: async (args, call) => {
      const text = (await checked(args, call)).toString('latin1')
      return text.split('\0').filter((name) => name !== '')
    },
    succeeds: async (args, call) => (await run(args, call)).exitCode === 0,
  }
}

const zeroEnded = (name: RawName) => `${name}\0`

interface GitStart {
  cwd: string
  env: Variables
  input: string | Buffer | undefined
  signal: AbortSignal
}

function runGit(args: string[], { cwd, env, input, signal }: GitStart) {
  return new Promise<{ exitCode: number; stdout: Buffer; stderr: string }>((resolve, reject) => {
    signal.throwIfAborted()
    const child = spawn('git', args, { cwd, env, stdio: 'pipe', detached: true })
    const onAbort = () => child.pid !== undefined && killGroup(child.pid)
    signal.addEventListener('abort', onAbort, { once: true })
    const parts: Buffer[] = []
    let stderr = ''
    child.stdout.on('data', (chunk: Buffer) => parts.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => {
      stderr = (stderr + chunk.toString('utf8')).slice(-STDERR_CHARS)
    })
    child.on('error', reject)
    child.on('close', (code) => {
      signal.removeEventListener('abort', onAbort)
      if (signal.aborted) reject(signal.reason)
      else resolve({ exitCode: code ?? 128, stdout: Buffer.concat(parts), stderr })
    })
    // Git may end before it has read its input: EPIPE says nothing that the exit code does not.
    child.stdin.on('error', () => undefined)
    child.stdin.end(input)
  })
}
