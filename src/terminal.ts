// The command line's view of this process: its streams, its terminal and Ctrl-C.
import { text } from 'node:stream/consumers'
import type { CliDeps, Output } from './cli/deps.ts'
import { createPrompt } from './cli/terminal/prompt.ts'
import { inheritedEnvironment } from './config.ts'

export function createCliDeps(connect: CliDeps['connect']): CliDeps {
  const env = inheritedEnvironment()
  const isInteractive = process.stdin.isTTY && process.stdout.isTTY
  return {
    stdout: outputOf(process.stdout, env),
    stderr: outputOf(process.stderr, env),
    connect,
    cwd: process.cwd(),
    env,
    prompt: isInteractive ? createPrompt(process.stdin, process.stdout) : undefined,
    readStdin: () => text(process.stdin),
    onInterrupt: (listener) => {
      process.on('SIGINT', listener)
      return () => {
        process.off('SIGINT', listener)
      }
    },
  }
}

function outputOf(stream: NodeJS.WriteStream, env: Record<string, string>): Output {
  return {
    write: (chunk) => {
      stream.write(chunk)
    },
    isTTY: stream.isTTY,
    hasColors: stream.isTTY && !env.NO_COLOR && env.TERM !== 'dumb',
    // A terminal that does not know its size says 0.
    columns: () => stream.columns || undefined,
  }
}
