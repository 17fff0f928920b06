// The runner's line to the gateway: reports out of the journal, directives in, over one upgraded connection that is made
// again for ever. What was not acknowledged is sent again; live text is sent only while the line is free.
import type { Socket } from 'node:net'
import { backoffMs } from '../../lib/backoff.ts'
import { delay } from '../../lib/deadline.ts'
import type { Logger } from '../../lib/logger.ts'
import { createLineSplitter, encodeLine } from '../../lib/ndjson.ts'
import { connectPatiently } from '../../lib/patient-connect.ts'
import {
  type Assignment,
  type Directives,
  type GatewayFrame,
  gatewayFrameSchema,
  MAX_GATEWAY_FRAME_BYTES,
  RUNNER_PROTOCOL,
  RUNNER_UPGRADE,
  type RunnerFrame,
} from '../../protocol/runner-frames.ts'
import type { Journal } from './journal.ts'

const RECONNECT = { firstMs: 50, mostMs: 5_000 }
const CONNECT_PATIENCE_MS = 30_000
const HEAD_LIMIT_BYTES = 16 << 10
/** Reports on the way that the gateway has not acknowledged. */
const WINDOW = 256
/** Live text is dropped when this much waits for the socket. */
const CONGESTED_BYTES = 256 << 10
const PING_MS = 15_000
const DEAD_MS = 45_000

export interface Channel {
  /** Live text of a turn: sent now or not at all. */
  sendDelta(turnId: string, text: string): void
  /** Nothing but a repository is needed. */
  sendParked(): void
  close(): void
}

export interface ChannelDeps {
  socketPath: string
  journal: Journal
  log: Logger
  /** `isReplaced`: the gateway has heard an earlier sandbox of this session, whose journal is not here. */
  onWelcome: (welcome: { generation: number; assignment: Assignment; isReplaced: boolean }) => void
  /** There is nothing to work on yet; whether an agent will be needed. */
  onWait: (needsAgent: boolean) => void
  onDirectives: (directives: Directives) => void
}

interface Line {
  socket: Socket
  sentN: number
  isWelcome: boolean
}

export function openChannel(deps: ChannelDeps): Channel {
  const ended = new AbortController()
  let line: Line | undefined

  deps.journal.onDurable(() => {
    if (line) sendReports(deps.journal, line)
  })

  const keepConnected = async () => {
    for (let attempt = 0; !ended.signal.aborted; attempt++) {
      try {
        await runLine()
        attempt = 0
      } catch (error) {
        if (ended.signal.aborted) return
        deps.log.warn({ err: error }, 'the line to the gateway broke')
      }
      await delay(backoffMs(RECONNECT, attempt, Math.random()), ended.signal).catch(() => undefined)
    }
  }
  /** Resolves when a line that was welcomed ends; rejects when none came to be. */
  const runLine = async () => {
    const door = { socketPath: deps.socketPath, patienceMs: CONNECT_PATIENCE_MS }
    const socket = await connectPatiently(door, ended.signal)
    const current: Line = { socket, sentN: 0, isWelcome: false }
    const onEnd = () => socket.destroy()
    ended.signal.addEventListener('abort', onEnd, { once: true })
    try {
      const rest = await upgrade(socket)
      line = current
      write(current, { type: 'hello', protocol: RUNNER_PROTOCOL, lastN: deps.journal.lastN() })
      await readFrames(deps, current, rest)
    } finally {
      ended.signal.removeEventListener('abort', onEnd)
      line = undefined
      socket.destroy()
    }
    if (!current.isWelcome) throw new Error('the gateway hung up before its welcome')
  }
  void keepConnected()
  return {
    sendDelta(turnId, text) {
      if (!line?.isWelcome || line.socket.writableLength > CONGESTED_BYTES) return
      write(line, { type: 'delta', turnId, text })
    },
    sendParked() {
      if (line && !line.isWelcome) write(line, { type: 'parked' })
    },
    close: () => ended.abort(),
  }
}

function write({ socket }: Line, frame: RunnerFrame): boolean {
  return socket.write(encodeLine(frame))
}

function sendReports(journal: Journal, line: Line): void {
  if (!line.isWelcome || line.socket.writableNeedDrain) return
  const oldest = journal.pending()[0]?.n ?? line.sentN + 1
  const room = WINDOW - Math.max(0, line.sentN - oldest + 1)
  if (room <= 0) return
  for (const { n, report } of journal.durableAfter(line.sentN, room)) {
    line.sentN = n
    if (!write(line, { type: 'report', n, report })) return
  }
}

/** Resolves when the connection has ended in order; rejects when it broke or the gateway fell silent. */
function readFrames(deps: ChannelDeps, line: Line, rest: Buffer): Promise<void> {
  const { socket } = line
  const split = createLineSplitter(MAX_GATEWAY_FRAME_BYTES)
  let heardAt = performance.now()
  return new Promise((resolve, reject) => {
    const take = (chunk: Buffer) => {
      heardAt = performance.now()
      try {
        for (const text of split(chunk)) takeFrame(deps, line, text)
      } catch (error) {
        socket.destroy(error instanceof Error ? error : new Error(String(error)))
      }
    }
    const pinging = setInterval(() => {
      if (performance.now() - heardAt > DEAD_MS)
        socket.destroy(new Error('the gateway fell silent'))
      else write(line, { type: 'ping' })
    }, PING_MS)
    socket.on('data', take)
    socket.on('drain', () => sendReports(deps.journal, line))
    socket.once('end', () => socket.destroy())
    socket.once('error', reject)
    socket.once('close', () => {
      clearInterval(pinging)
      resolve()
    })
    take(rest)
    socket.resume()
  })
}

function takeFrame(deps: ChannelDeps, line: Line, text: string): void {
  const frame = parseFrame(text)
  if (frame === undefined) {
    deps.log.warn('the gateway sent a frame that this runner does not know')
    return
  }
  switch (frame.type) {
    case 'wait':
      deps.onWait(frame.agent)
      return
    case 'welcome': {
      const { generation, assignment } = frame
      const isReplaced = frame.ackedN > deps.journal.lastN()
      deps.journal.continueAfter(frame.ackedN)
      deps.journal.acknowledge(frame.ackedN)
      line.sentN = frame.ackedN
      line.isWelcome = true
      deps.onWelcome({ generation, assignment, isReplaced })
      sendReports(deps.journal, line)
      return
    }
    case 'ack':
      deps.journal.acknowledge(frame.n)
      sendReports(deps.journal, line)
      return
    case 'refused':
      deps.log.warn({ n: frame.n, reason: frame.reason }, 'the gateway refused a report')
      // A refused report would be refused for ever: it counts as dealt with.
      if (frame.n === null) line.socket.destroy(new Error(`refused: ${frame.reason}`))
      else deps.journal.acknowledge(frame.n)
      return
    case 'directives':
      deps.onDirectives(frame.directives)
      return
    case 'pong':
      return
  }
}

function parseFrame(text: string): GatewayFrame | undefined {
  return gatewayFrameSchema.safeParse(JSON.parse(text)).data
}

/** Asks for the upgrade; resolves with the bytes that came behind the head. */
function upgrade(socket: Socket): Promise<Buffer> {
  const ask = ['GET /runner HTTP/1.1', 'Host: errand.internal', 'Connection: Upgrade']
  socket.write(`${[...ask, `Upgrade: ${RUNNER_UPGRADE}`].join('\r\n')}\r\n\r\n`)
  return new Promise((resolve, reject) => {
    let held = Buffer.alloc(0)
    const settle = (result: () => void) => {
      socket.pause()
      socket.off('data', onData)
      socket.off('end', onClose)
      socket.off('close', onClose)
      socket.off('error', onClose)
      result()
    }
    const fail = (message: string) => settle(() => reject(new Error(message)))
    const onClose = () => fail('the gateway hung up during the upgrade')
    const onData = (chunk: Buffer) => {
      held = Buffer.concat([held, chunk])
      const end = held.indexOf('\r\n\r\n')
      const status = held.toString('latin1', 0, Math.min(held.length, 80)).split('\r\n')[0]
      if (end === -1 && held.length > HEAD_LIMIT_BYTES)
        fail('the answer to the upgrade is too long')
      else if (end !== -1 && !status?.startsWith('HTTP/1.1 101')) fail(`no upgrade: ${status}`)
      else if (end !== -1) settle(() => resolve(held.subarray(end + 4)))
    }
    socket.on('data', onData)
    // A line that the other side has ended stays open on this one, and is never closed by itself.
    socket.once('end', onClose)
    socket.once('close', onClose)
    socket.once('error', onClose)
  })
}
