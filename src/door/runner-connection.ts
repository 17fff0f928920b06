// One connection of a runner: lines in, parsed and paced, one at a time; frames out. runner-channel.ts picks the live one.
import type { Duplex } from 'node:stream'
import type { z } from 'zod'
import { delay } from '../lib/deadline.ts'
import { encodeLine } from '../lib/ndjson.ts'
import { createTokenBucket, type Rate, type TakeToken } from '../lib/token-bucket.ts'
import type {
  Assignment,
  GatewayFrame,
  RunnerFrame,
  RunnerReport,
} from '../protocol/runner-frames.ts'
import { createLineQueue } from './line-queue.ts'

export interface RunnerHello {
  protocol: number
  lastN: number
}

/** Where the gateway stands: which life of the sandbox this is, and up to which number its journal is stored. */
export interface JournalPosition {
  generation: number
  ackedN: number
}

export interface JournalEntry {
  generation: number
  n: number
  report: RunnerReport
}

export interface Welcome extends JournalPosition {
  assignment: Assignment
}

interface RunnerReceiver {
  /** May take as long as nobody knows what the runner is to work on. Null when it was refused. */
  hello(hello: RunnerHello): Promise<JournalPosition | null>
  /** Before the welcome: all that it needs is a repository. */
  parked(): void
  report(entry: JournalEntry): Promise<{ refused: string } | undefined>
  delta(delta: { turnId: string; text: string }): void
}

export interface RunnerLimits {
  /** Frames beyond this rate are not dropped: the socket is read no faster. */
  rate: Rate
  helloMs: number
  /** Without a byte for this long the connection counts as dead; runners send a ping every 15 s. */
  silentMs: number
  /** Of one line. */
  frameBytes: number
  /** Most frames that could not be read before the connection is closed. */
  invalidFrames: number
  /** Most bytes waiting for a runner that does not read. */
  unsentBytes: number
}

export interface RunnerConnection {
  send(frame: GatewayFrame): void
  close(reason: string): void
  isClosed(): boolean
  /** Resolves with the reason. */
  closed: Promise<string>
  /** Aborts when it is closed. */
  signal: AbortSignal
  /** Resolves when the frame that is being worked on is done. */
  settled(): Promise<void>
}

export interface RunnerConnectionOptions {
  socket: Duplex
  limits: RunnerLimits
  now: () => number
  /** The closed set of what a runner may say. */
  frames: z.ZodType<RunnerFrame>
  receiver: RunnerReceiver
}

export function createRunnerConnection(options: RunnerConnectionOptions): RunnerConnection {
  const { socket, limits } = options
  const closed = Promise.withResolvers<string>()
  const abort = new AbortController()
  const close = (reason: string) => {
    if (abort.signal.aborted) return
    abort.abort(new Error(reason))
    clearTimeout(helloTimer)
    clearTimeout(silence)
    queue.stop()
    endSocket(socket)
    closed.resolve(reason)
  }
  const send = (frame: GatewayFrame) => {
    if (!socket.writable) return
    socket.write(encodeLine(frame))
    if (socket.writableLength > limits.unsentBytes) close('not_reading')
  }
  const onHello = () => clearTimeout(helloTimer)
  const work = createFrameWork({ ...options, send, close, onHello, signal: abort.signal })
  const queue = createLineQueue({
    socket,
    maxLineBytes: limits.frameBytes,
    work: async (line) => {
      await work(line)
      silence.refresh()
    },
    onBytes: () => silence.refresh(),
    onEnd: close,
  })
  const helloTimer = setTimeout(() => close('no_hello'), limits.helloMs)
  const silence = setTimeout(() => close('silent'), limits.silentMs)
  socket.on('error', () => close('connection_broken'))
  return {
    send,
    close,
    isClosed: () => abort.signal.aborted,
    closed: closed.promise,
    signal: abort.signal,
    settled: () => queue.settled(),
  }
}

interface FrameWork extends RunnerConnectionOptions {
  send(frame: GatewayFrame): void
  close(reason: string): void
  onHello(): void
  signal: AbortSignal
}

/** Works on one line after the other; keeps how far this connection's journal has come. */
function createFrameWork(options: FrameWork): (line: string) => Promise<void> {
  const { limits, receiver, send, close, signal } = options
  const takeToken = createTokenBucket(limits.rate, options.now)
  let invalid = 0
  let greeting: Promise<JournalPosition | null> | undefined

  const onReport = async (n: number, report: RunnerReport) => {
    const journal = await greeting
    if (!journal) return close('no_hello')
    if (n > journal.ackedN) {
      const answer = await receiver.report({ generation: journal.generation, n, report })
      journal.ackedN = n
      if (answer) return send({ type: 'refused', n, reason: answer.refused })
    }
    send({ type: 'ack', n })
  }
  const onHello = (hello: RunnerHello) => {
    if (greeting) return close('second_hello')
    options.onHello()
    // Not waited for here: a runner that waits long for its welcome still gets answers to its pings.
    greeting = receiver.hello(hello).then((position) => position && { ...position })
    greeting.catch(() => close('hello_failed'))
  }
  const onInvalid = (n: number | null, reason: string) => {
    invalid += 1
    send({ type: 'refused', n, reason })
    if (invalid > limits.invalidFrames) close('too_many_invalid_frames')
  }
  const onFrame = async (frame: RunnerFrame) => {
    switch (frame.type) {
      case 'hello':
        return onHello(frame)
      case 'report':
        return onReport(frame.n, frame.report)
      case 'delta':
        if (await greeting) receiver.delta(frame)
        return
      case 'parked':
        if (greeting) receiver.parked()
        return
      case 'ping':
        return send({ type: 'pong' })
    }
  }
  return async (line) => {
    if (!(await untilAllowed(takeToken, signal))) return
    const parsed = parseFrame(options.frames, line)
    if ('refused' in parsed) onInvalid(parsed.n, parsed.refused)
    else await onFrame(parsed.frame)
  }
}

/** False when the connection was closed while waiting: the line goes the way of the connection. */
async function untilAllowed(takeToken: TakeToken, signal: AbortSignal): Promise<boolean> {
  for (let waitMs = takeToken(); waitMs > 0; waitMs = takeToken()) {
    const waited = await delay(waitMs, signal).then(
      () => true,
      () => false,
    )
    if (!waited) return false
  }
  return true
}

/** The frame, or why not and, when it could be read, its number: the runner then strikes it from its journal. */
function parseFrame(
  frames: RunnerConnectionOptions['frames'],
  line: string,
): { frame: RunnerFrame } | { refused: string; n: number | null } {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    // What the parser says quotes the line; the reason alone goes back.
    return { refused: 'not_json', n: null }
  }
  const result = frames.safeParse(value)
  if (result.success) return { frame: result.data }
  const n = (value as { n?: unknown } | null)?.n
  const isNumber = typeof n === 'number' && Number.isSafeInteger(n) && n > 0
  return { refused: 'invalid_frame', n: isNumber ? n : null }
}

/** Lets what was written go out, but waits no longer than a second for it. */
function endSocket(socket: Duplex): void {
  socket.end()
  socket.resume()
  const timer = setTimeout(() => socket.destroy(), 1_000)
  socket.once('close', () => clearTimeout(timer))
}
