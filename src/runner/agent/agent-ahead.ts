// Takes over the agent that process 1 has started (ahead-script.ts): a process that is no child of Node.js, with named pipes for
// its streams and one more that says how it ended.
import { EventEmitter } from 'node:events'
import { closeSync, constants, openSync, readFileSync, readlinkSync } from 'node:fs'
import { Socket } from 'node:net'
import { constants as numbers } from 'node:os'
import { join } from 'node:path'
import { killGroup } from '../../lib/process.ts'
import type { AgentChild, AgentCommand } from './agent-start.ts'
import { readAhead } from './ahead-script.ts'

export interface AgentAhead {
  child: AgentChild
  /** What it was started as; undefined when that cannot be seen (any more). */
  command(): AgentCommand | undefined
}

/** What process 1 holds open for the two to find each other; see PROCESS_ONE. */
const HELD = [3, 4, 5, 6]
/** A shell says so of what a signal ended. */
const BY_SIGNAL = 128

/** `pid` is what process 1 has said; undefined where it has started none. */
export function takeAhead(pid: string | undefined, pipes: string): AgentAhead | undefined {
  if (pid === undefined) return undefined
  try {
    return adoptAgent(Number(pid), pipes)
  } finally {
    for (const fd of HELD) closeSync(fd)
  }
}

export function adoptAgent(pid: number, pipes: string): AgentAhead {
  return { child: new AdoptedProcess(pid, pipes), command: () => readCommand(pid) }
}

class AdoptedProcess extends EventEmitter implements AgentChild {
  readonly pid: number
  readonly stdin: Socket
  readonly stdout: Socket
  readonly stderr: Socket
  exitCode: number | null = null
  signalCode: NodeJS.Signals | null = null
  killed = false

  constructor(pid: number, pipes: string) {
    super()
    this.pid = pid
    this.stdin = new Socket({ fd: openPipe(pipes, 'in', constants.O_WRONLY), readable: false })
    this.stdout = readPipe(pipes, 'out')
    this.stderr = readPipe(pipes, 'err')
    // Whoever writes to it hears of its end by `exit`.
    this.stdin.on('error', () => undefined)
    let words = ''
    readPipe(pipes, 'end')
      .on('data', (chunk: Buffer) => {
        words += chunk.toString('latin1')
      })
      .once('close', () => this.#end(words))
  }

  kill(signal: NodeJS.Signals = 'SIGTERM'): boolean {
    if (this.exitCode !== null || this.signalCode !== null) return false
    killGroup(this.pid, signal)
    this.killed = true
    return true
  }

  /** Without a word it was ended together with what would have said it. */
  #end(words: string): void {
    const status = words === '' ? BY_SIGNAL + numbers.signals.SIGKILL : Number(words)
    const signal = Object.entries(numbers.signals).find(
      ([, number]) => number === status - BY_SIGNAL,
    )
    if (signal) this.signalCode = signal[0] as NodeJS.Signals
    else this.exitCode = status
    this.stdin.destroy()
    this.emit('exit', this.exitCode, this.signalCode)
  }
}

function readPipe(pipes: string, name: string): Socket {
  return new Socket({ fd: openPipe(pipes, name, constants.O_RDONLY), writable: false })
}

/** The other side is held open by process 1 meanwhile: none of the two would be let in otherwise. */
function openPipe(pipes: string, name: string, access: number): number {
  return openSync(join(pipes, name), access | constants.O_NONBLOCK)
}

function readCommand(pid: number): AgentCommand | undefined {
  const at = (name: string) => `/proc/${pid}/${name}`
  try {
    return readAhead({
      commandLine: readFileSync(at('cmdline'), 'utf8'),
      environment: readFileSync(at('environ'), 'utf8'),
      cwd: readlinkSync(at('cwd')),
    })
  } catch {
    return undefined
  }
}
