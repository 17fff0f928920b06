// The gateway's side of the runner's channel: lines of JSON on an upgraded connection, one live connection per session.
// Everything that arrives is a claim of the sandbox. It is parsed, paced and put in order here; what it means is decided by
// who hands in `RunnerEvents`. Reports are acknowledged after they were stored, so none that was acknowledged is ever lost.
import type { Duplex } from 'node:stream'
import type { z } from 'zod'
import {
  type Directives,
  MAX_FRAME_BYTES,
  RUNNER_PROTOCOL,
  RUNNER_UPGRADE,
  type RunnerFrame,
  runnerFrameSchema,
} from '../protocol/runner-frames.ts'
import {
  createRunnerConnection,
  type JournalEntry,
  type JournalPosition,
  type RunnerConnection,
  type RunnerHello,
  type RunnerLimits,
  type Welcome,
} from './runner-connection.ts'

export interface RunnerEvents {
  /**
   * Where the journal of the sandbox's present life stands and what to work on, or why this runner is not wanted. While that
   * is not known yet it calls `wait`, with whether an agent will be needed, and resolves later; it rejects when the signal aborts.
   */
  onHello(
    hello: RunnerHello,
    greeting: { wait: (needsAgent: boolean) => void; signal: AbortSignal },
  ): Promise<Welcome | { refused: string }>
  /** A runner that waits needs nothing but a repository. */
  onParked(): void
  /** After the welcome went out: the moment to send directives. */
  onConnected(): void
  /**
   * Called one after the other in rising `n`. Resolves when stored; with a reason when the report is refused for good. A
   * rejection closes the connection unacknowledged: the runner comes back and sends it again.
   */
  onReport(entry: JournalEntry): Promise<{ refused: string } | undefined>
  onDelta(delta: { turnId: string; text: string }): void
  onDisconnected(reason: string): void
}

export interface RunnerChannel {
  accept(socket: Duplex, head: Buffer): void
  /** False when no runner is connected: `onConnected` is then the next chance. */
  send(directives: Directives): boolean
  connected(): boolean
  close(reason: string): void
}

export const RUNNER_LIMITS: RunnerLimits = {
  rate: { perSecond: 200, burst: 1_000 },
  helloMs: 10_000,
  silentMs: 45_000,
  frameBytes: MAX_FRAME_BYTES,
  invalidFrames: 100,
  unsentBytes: 8 << 20,
}

interface ChannelState {
  live: RunnerConnection | undefined
  /** Connections that have not been welcomed yet count as well. */
  all: Set<RunnerConnection>
  /** Said hello and wait for their welcome: a newer one takes their place. */
  greeting: Set<RunnerConnection>
  /** Greetings one after the other: the old connection has to be done before the journal's end is read. */
  turn: Promise<unknown>
}

export function createRunnerChannel(
  events: RunnerEvents,
  limits: RunnerLimits = RUNNER_LIMITS,
  now: () => number = () => performance.now(),
  frames: z.ZodType<RunnerFrame> = runnerFrameSchema,
): RunnerChannel {
  const state: ChannelState = {
    live: undefined,
    all: new Set(),
    greeting: new Set(),
    turn: Promise.resolve(),
  }
  return {
    accept(socket, head) {
      const lines = ['HTTP/1.1 101 Switching Protocols', 'Connection: Upgrade']
      socket.write(`${lines.join('\r\n')}\r\nUpgrade: ${RUNNER_UPGRADE}\r\n\r\n`)
      if (head.length > 0) socket.unshift(head)
      const connection: RunnerConnection = createRunnerConnection({
        socket,
        limits,
        now,
        frames,
        receiver: {
          hello: (hello) => greetInTurn(state, events, connection, hello),
          parked: () => events.onParked(),
          report: (entry) => events.onReport(entry),
          delta: (delta) => events.onDelta(delta),
        },
      })
      state.all.add(connection)
      void connection.closed.then((reason) => {
        state.all.delete(connection)
        if (state.live !== connection) return
        state.live = undefined
        events.onDisconnected(reason)
      })
    },
    send(directives) {
      state.live?.send({ type: 'directives', directives })
      return state.live !== undefined
    },
    connected: () => state.live !== undefined,
    close(reason) {
      for (const connection of state.all) connection.close(reason)
    },
  }
}

/** Answers a hello with a welcome, or ends the connection and resolves with null. */
function greetInTurn(
  state: ChannelState,
  events: RunnerEvents,
  connection: RunnerConnection,
  hello: RunnerHello,
): Promise<JournalPosition | null> {
  for (const older of state.greeting) older.close('replaced')
  state.greeting.add(connection)
  const greeting = state.turn.then(async () => {
    const old = state.live
    old?.close('replaced')
    await old?.settled()
    const wait = (agent: boolean) => connection.send({ type: 'wait', agent })
    const answer = await events.onHello(hello, { wait, signal: connection.signal })
    if ('refused' in answer) return refuse(connection, answer.refused)
    if (connection.isClosed()) return null
    state.live = connection
    connection.send({ type: 'welcome', protocol: RUNNER_PROTOCOL, ...answer })
    events.onConnected()
    return answer
  })
  const ended = greeting.then(
    () => undefined,
    () => undefined,
  )
  state.turn = ended.then(() => state.greeting.delete(connection))
  return greeting
}

function refuse(connection: RunnerConnection, reason: string): null {
  connection.send({ type: 'refused', n: null, reason })
  connection.close(reason)
  return null
}
