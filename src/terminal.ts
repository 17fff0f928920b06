// The command line's view of this process: its streams, its terminal and Ctrl-C. Output that nobody takes any more ends a
// command as Ctrl-C does, and never with a stack trace.
import type { Writable } from 'node:stream'
import { text } from 'node:stream/consumers'
import type { CliDeps, Output } from './cli/deps.ts'
import { createPrompt } from './cli/terminal/prompt.ts'
import { inheritedEnvironment } from './config.ts'
import { ERROR_CODES } from './protocol/errors.ts'

/** As a shell says of a program whose reader has gone (SIGPIPE), as in `errand logs … | head -1`. */
const UNREAD = 141

export function createCliDeps(
  connect: CliDeps['connect'],
  { stdin, stdout, stderr }: Pick<NodeJS.Process, 'stdin' | 'stdout' | 'stderr'> = process,
): CliDeps {
  const env = inheritedEnvironment()
  const prompt = stdin.isTTY && stdout.isTTY ? createPrompt(stdin, stdout) : undefined
  let hasEnded = false
  return {
    stdout: outputOf(stdout, env, createLoss()),
    stderr: outputOf(stderr, env),
    connect,
    cwd: process.cwd(),
    env,
    get prompt() {
      return hasEnded ? undefined : prompt
    },
    readStdin: async () => {
      const all = await text(stdin)
      hasEnded = true
      return all
    },
    onInterrupt: (listener) => {
      process.on('SIGINT', listener)
      return () => {
        process.off('SIGINT', listener)
      }
    },
  }
}

/** `onLost` is told when something could not be written. */
export function outputOf(
  stream: Writable & Pick<NodeJS.WriteStream, 'isTTY' | 'columns'>,
  env: Record<string, string>,
  onLost: (error: Error) => void = () => undefined,
): Output {
  // A terminal that only prints cannot take a line back: it is written to as a file is.
  const isTTY = stream.isTTY && env.TERM !== 'dumb'
  // Told to whoever writes, below; `up` goes on without anybody who reads.
  stream.on('error', () => undefined)
  return {
    write: (chunk) => {
      stream.write(chunk, (error) => {
        if (error) onLost(error)
      })
    },
    isTTY,
    hasColors: isTTY && !env.NO_COLOR,
    // A terminal that does not know its size says 0.
    columns: () => stream.columns || undefined,
  }
}

/** Ends the command, once: in order where something listens to Ctrl-C, else at once. */
function createLoss(): (error: NodeJS.ErrnoException) => void {
  let isLost = false
  return (error) => {
    if (isLost) return
    isLost = true
    const exitCode = exitCodeOf(error)
    if (exitCode !== UNREAD)
      process.stderr.write(
        `errand: the output could not be written: ${error.message} (output_unwritable)\n`,
      )
    process.once('exit', () => {
      process.exitCode = exitCode
    })
    if (!process.emit('SIGINT', 'SIGINT')) process.exit(exitCode)
  }
}

function exitCodeOf({ code }: NodeJS.ErrnoException): number {
  if (code === 'EPIPE') return UNREAD
  const isFull = code === 'ENOSPC' || code === 'EDQUOT'
  return ERROR_CODES[isFull ? 'no_space' : 'unavailable'].exitCode
}
