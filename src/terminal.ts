// The command line's view of this process: its streams, its terminal and Ctrl-C.
import { text } from 'node:stream/consumers'
import type { CliDeps, Output } from './cli/deps.ts'
import { createPrompt } from './cli/prompt.ts'
import { inheritedEnvironment } from './config.ts'

export function createCliDeps(connect: CliDeps['connect']): CliDeps {
  const isInteractive = process.stdin.isTTY && process.stdout.isTTY
  return {
    stdout: outputOf(process.stdout),
    stderr: outputOf(process.stderr),
    connect,
    cwd: process.cwd(),
    env: inheritedEnvironment(),
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

function outputOf(stream: NodeJS.WriteStream): Output {
  return {
    write: (chunk) => {
      stream.write(chunk)
    },
    isTTY: stream.isTTY,
    columns: () => stream.columns,
  }
}
