// Runs `errand` as a person or a program would: a process of its own, with little in its environment.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { type RunResult, runProcess } from '../../src/lib/process.ts'
import { ERROR_CODES, type ErrorBody } from '../../src/protocol/errors.ts'
import { ROOT } from './installation.ts'

export const MAIN = join(ROOT, 'src/main.js')

export interface CommandOptions {
  cwd?: string
  env?: Record<string, string>
  /** With what it is called; Node.js and src/main.js unless told. */
  program?: string[]
  uid?: number
  gid?: number
}

/** Nothing of the machine's own set-up: neither a key nor another Errand. */
function environment(env: Record<string, string> = {}): Record<string, string> {
  const { PATH = '', TMPDIR } = process.env
  const certificates = Object.entries(process.env).filter(([name]) =>
    /^(NODE_EXTRA_CA_CERTS|SSL_CERT_FILE|GIT_SSL_CAINFO|npm_config_|HTTPS?_PROXY|NO_PROXY|https?_proxy|no_proxy)/i.test(
      name,
    ),
  )
  return {
    PATH,
    HOME: '/nonexistent',
    ...(TMPDIR ? { TMPDIR } : {}),
    ...(Object.fromEntries(certificates) as Record<string, string>),
    // Only what a test asks for runs.
    ERRAND_STANDBYS: '0',
    ...env,
  }
}

const programOf = ({ program = [process.execPath, MAIN] }: CommandOptions) => program

export function runCommand(args: string[], options: CommandOptions = {}): Promise<RunResult> {
  const [command = '', ...first] = programOf(options)
  const { cwd = '/', env, uid, gid } = options
  return runProcess(command, [...first, ...args], {
    cwd,
    env: environment(env),
    ...(uid === undefined ? {} : { uid, gid }),
  })
}

export interface RunningCommand {
  child: ChildProcess
  stdout(): string
  stderr(): string
  /** Resolves when stdout has it; rejects when the command ends before. */
  said(pattern: RegExp): Promise<void>
  /** As Ctrl-C in a terminal: to the whole process group. */
  interrupt(signal?: NodeJS.Signals): void
  /** To standard input. */
  type(text: string): void
  ended(): Promise<number>
}

export function startCommand(args: string[], options: CommandOptions = {}): RunningCommand {
  const [command = '', ...first] = programOf(options)
  const { cwd = '/', env, uid, gid } = options
  const child = spawn(command, [...first, ...args], {
    ...{ cwd, uid, gid, env: environment(env), detached: true },
    stdio: 'pipe',
  })
  let stdout = ''
  let stderr = ''
  const waiting = new Set<() => void>()
  const look = () => {
    for (const one of waiting) one()
  }
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString()
    look()
  })
  child.once('close', look)
  child.once('error', (error) => {
    stderr += error.message
    look()
  })
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString()
  })
  return {
    child,
    stdout: () => stdout,
    stderr: () => stderr,
    said: (pattern) =>
      new Promise((resolve, reject) => {
        const check = () => {
          const isSaid = pattern.test(stdout)
          const isRunning = child.exitCode === null && child.signalCode === null
          if (!isSaid && isRunning && child.pid !== undefined) return
          waiting.delete(check)
          if (isSaid) resolve()
          else reject(new Error(`ended without ${pattern}: ${stdout}${stderr}`))
        }
        waiting.add(check)
        check()
      }),
    interrupt: (signal = 'SIGINT') => {
      process.kill(-(child.pid as number), signal)
    },
    type: (text) => {
      child.stdin.write(text)
    },
    ended: async () => {
      if (child.exitCode === null && child.signalCode === null) await once(child, 'close')
      return child.exitCode ?? 128
    },
  }
}

/** The one JSON value that a command with `--json` wrote, and that it wrote nothing else. */
export function jsonOf<T>({ stdout }: Pick<RunResult, 'stdout'>): T {
  const lines = stdout.split('\n')
  if (lines.length !== 2 || lines[1] !== '') throw new Error(`not one line of JSON: ${stdout}`)
  return JSON.parse(lines[0] ?? '')
}

/** Checks that an error is one object on stdout, one sentence on stderr and the exit code of its code; returns it. */
export function errorOf({ exitCode, stdout, stderr }: RunResult): ErrorBody['error'] {
  const { error } = jsonOf<ErrorBody>({ stdout })
  const sentences = stderr.split('\n').filter((line) => line.startsWith('errand: '))
  const expected = ERROR_CODES[error.code]?.exitCode
  if (exitCode !== expected) throw new Error(`exit code ${exitCode} for ${JSON.stringify(error)}`)
  if (/\n\s+at /.test(stderr)) throw new Error(`a stack trace: ${stderr}`)
  if (!sentences.some((line) => line.includes(error.reason)))
    throw new Error(`no sentence for ${JSON.stringify(error)}: ${stderr}`)
  return error
}
