// A turn that is a shell command: runs it in the checkout and reports its output as it comes. It never commits or pushes:
// what a person does by hand stays as it is until they or the agent commit it.
import { spawn } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { StringDecoder } from 'node:string_decoder'
import { killGroup } from '../../lib/process.ts'
import type { RunnerReport } from '../../protocol/runner-frames.ts'
import { COMMAND_MARK, type Variables } from '../agent/agent-environment.ts'
import type { StateFile } from '../state-file.ts'
import type { RunTurn } from './turn-end.ts'

const BATCH_CHARS = 32 << 10
const BATCH_MS = 200
/** More than this of one command's output is left out, except for its end. */
const MAX_CHARS = 4 << 20
/** Programs left in the background may keep the pipes open: they are not waited for. */
const DRAIN_MS = 200
const GRACE_MS = 2_000
const TEXT_CHANNEL = 3
/** The text itself would be too long for an argument, of which the kernel takes 128 KiB. */
const READ_AND_RUN = `eval "exec ${TEXT_CHANNEL}<&-; $(cat <&${TEXT_CHANNEL})"`

export interface CommandDeps {
  folder: string
  variables: Variables
  output: (text: string) => void
}

/** Resolves with the exit code (128 + n for a signal). An abort ends the process group and resolves as well. */
export function runCommand(deps: CommandDeps, text: string, signal: AbortSignal): Promise<number> {
  return new Promise((resolve, reject) => {
    const batch = createBatch(deps.output)
    const child = spawn('bash', ['-lc', READ_AND_RUN], {
      cwd: deps.folder,
      env: deps.variables,
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
      detached: true,
    })
    const written = child.stdio[TEXT_CHANNEL] as Writable
    // It may end before it has read all: EPIPE says nothing that the exit code does not.
    written.on('error', () => undefined)
    written.end(text)
    const outputs = [child.stdout, child.stderr] as Readable[]
    for (const stream of outputs) {
      const decoder = new StringDecoder('utf8')
      stream.on('data', (chunk: Buffer) => batch.push(decoder.write(chunk)))
      stream.on('end', () => batch.push(decoder.end()))
    }
    const onAbort = () => endGroup(child.pid)
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    const finish = (code: number) => {
      signal.removeEventListener('abort', onAbort)
      for (const stream of [...outputs, written]) stream.destroy()
      batch.end()
      resolve(code)
    }
    child.once('error', (error) => {
      signal.removeEventListener('abort', onAbort)
      reject(error)
    })
    child.once('exit', (code, endedBy) => {
      // Nothing of an interrupted command lives on, not even what ignores the first signal.
      if (signal.aborted && child.pid !== undefined) killGroup(child.pid)
      const exitCode = code ?? 128 + (endedBy ? (SIGNALS[endedBy] ?? 0) : 0)
      // What it wrote lies in the pipes by now. When this program was held up meanwhile, the timer is due before they are
      // read: they are read once more first.
      const timer = setTimeout(() => setImmediate(() => finish(exitCode)), DRAIN_MS)
      child.once('close', () => {
        clearTimeout(timer)
        finish(exitCode)
      })
    })
  })
}

const SIGNALS: Partial<Record<NodeJS.Signals, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGABRT: 6,
  SIGKILL: 9,
  SIGSEGV: 11,
  SIGPIPE: 13,
  SIGTERM: 15,
}

function endGroup(pid: number | undefined): void {
  if (pid === undefined) return
  killGroup(pid, 'SIGTERM')
  setTimeout(() => killGroup(pid, 'SIGKILL'), GRACE_MS).unref()
}

/** A command that was cut off by a restart is not run again: only its author knows whether that would be safe. */
export function createCommandTurn(deps: {
  folder: string
  variables: Variables
  state: StateFile
  report: (report: RunnerReport) => void
  /** Called once it is remembered that the command was started. */
  onStart: () => void
}): RunTurn {
  return async (turn, { interrupted, stopped, isResumed }) => {
    if (isResumed) {
      const message = 'The sandbox was restarted while the command ran; it was not run again.'
      return { kind: 'failed', reason: 'runner_restarted', message }
    }
    if (!deps.state.set({ turn: { id: turn.id, before: null } })) {
      const message =
        'The command was not run: the disk of the sandbox does not take the note that it was started, without which it could run twice. It may be full.'
      return { kind: 'failed', reason: 'command_not_noted', message }
    }
    deps.onStart()
    const output = (text: string) => deps.report({ type: 'command.output', turnId: turn.id, text })
    const { folder } = deps
    const variables = { ...deps.variables, [COMMAND_MARK]: turn.id }
    const either = AbortSignal.any([interrupted, stopped])
    const exitCode = await runCommand({ folder, variables, output }, turn.text, either)
    return interrupted.aborted ? { kind: 'interrupted' } : { kind: 'completed', exitCode }
  }
}

/** Collects output into reports of a good size; leaves out the middle of what is far too much. */
function createBatch(output: (text: string) => void) {
  let held = ''
  let sent = 0
  let tail = ''
  let timer: NodeJS.Timeout | undefined
  const send = () => {
    clearTimeout(timer)
    timer = undefined
    for (; held !== ''; held = held.slice(BATCH_CHARS)) output(held.slice(0, BATCH_CHARS))
  }
  return {
    push(text: string) {
      if (sent >= MAX_CHARS) {
        tail = (tail + text).slice(-BATCH_CHARS)
        return
      }
      sent += text.length
      held += text
      if (held.length >= BATCH_CHARS) send()
      else if (held !== '') timer ??= setTimeout(send, BATCH_MS)
    },
    end() {
      send()
      if (tail !== '') output(`\n[… output left out …]\n${tail}`)
      tail = ''
    },
  }
}
