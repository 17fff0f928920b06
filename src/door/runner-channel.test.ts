import { Duplex } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { encodeLine } from '../lib/ndjson.ts'
import { RUNNER_PROTOCOL } from '../protocol/runner-frames.ts'
import { createRunnerChannel, RUNNER_LIMITS, type RunnerEvents } from './runner-channel.ts'
import type { JournalEntry, RunnerLimits } from './runner-connection.ts'

const TURN = 't_aaaaaaaaaaaaaaaaaaaa'
const assignment = {
  kind: 'work' as const,
  repository: { name: 'r', url: '', commit: 'c0ffee', branch: 'errand/x', baseBranch: null },
  identity: { name: 'Errand', email: 'errand@example.com' },
  sessionUrl: null,
}
const HELLO = { type: 'hello', protocol: RUNNER_PROTOCOL, lastN: 0 }
const report = (n: number) => ({
  type: 'report',
  n,
  report: { type: 'turn.accepted', turnId: TURN },
})

/** Two ends of one connection in memory. */
function socketPair(): [Duplex, Duplex] {
  const ends: Duplex[] = []
  const make = (other: () => Duplex | undefined) =>
    new Duplex({
      read: () => undefined,
      write(chunk, _, done) {
        other()?.push(chunk)
        done()
      },
      final(done) {
        other()?.push(null)
        done()
      },
      destroy(error, done) {
        other()?.push(null)
        done(error)
      },
    })
  const one = make(() => (ends[1]?.destroyed ? undefined : ends[1]))
  const other = make(() => (ends[0]?.destroyed ? undefined : ends[0]))
  ends.push(one, other)
  return [one, other]
}

function createRunnerEnd(socket: Duplex) {
  const frames: Record<string, unknown>[] = []
  let text = ''
  let wake: () => void = () => undefined
  const closed = new Promise<void>((resolve) => socket.on('end', () => resolve()))
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString()
    const lines = text.split('\n')
    text = lines.pop() ?? ''
    for (const line of lines) if (line.startsWith('{')) frames.push(JSON.parse(line))
    wake()
  })
  return {
    frames,
    closed,
    write: (...values: unknown[]) => socket.write(values.map(encodeLine).join('')),
    raw: (line: string) => socket.write(line),
    /** The next frame of a type. */
    async next(type: string) {
      for (;;) {
        const index = frames.findIndex((frame) => frame.type === type)
        if (index !== -1) return frames.splice(index, 1)[0]
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    },
  }
}

function setUp(overrides: Partial<RunnerEvents> = {}, limits: Partial<RunnerLimits> = {}) {
  const stored: JournalEntry[] = []
  const happened: string[] = []
  const disconnected = Promise.withResolvers<string>()
  const channel = createRunnerChannel(
    {
      onHello: async () => ({
        generation: 3,
        ackedN: Math.max(0, ...stored.map(({ n }) => n)),
        assignment,
      }),
      onParked: () => happened.push('parked'),
      onConnected: () => happened.push('connected'),
      onReport: async (entry) => {
        stored.push(entry)
        return undefined
      },
      onDelta: ({ text }) => happened.push(`delta ${text}`),
      onDisconnected: (reason) => {
        happened.push(`disconnected ${reason}`)
        disconnected.resolve(reason)
      },
      ...overrides,
    },
    { ...RUNNER_LIMITS, ...limits },
  )
  const connect = () => {
    const [gatewayEnd, runnerEnd] = socketPair()
    channel.accept(gatewayEnd, Buffer.alloc(0))
    return createRunnerEnd(runnerEnd)
  }
  return { channel, connect, stored, happened, disconnected: disconnected.promise }
}

describe('createRunnerChannel', () => {
  it('welcomes, stores in order, acknowledges, and passes deltas', async () => {
    const { channel, connect, stored, happened } = setUp()
    expect(channel.connected()).toBe(false)
    const runner = connect()
    runner.write(HELLO)
    expect(await runner.next('welcome')).toEqual({
      type: 'welcome',
      protocol: RUNNER_PROTOCOL,
      generation: 3,
      ackedN: 0,
      assignment,
    })
    runner.write(report(1), { type: 'delta', turnId: TURN, text: 'hi' }, report(2))
    expect(await runner.next('ack')).toEqual({ type: 'ack', n: 1 })
    expect(await runner.next('ack')).toEqual({ type: 'ack', n: 2 })
    expect(stored).toMatchObject([
      { generation: 3, n: 1 },
      { generation: 3, n: 2 },
    ])
    expect(happened).toEqual(['connected', 'delta hi'])
    const directives = { turn: null, mode: 'work', model: null, answers: {} } as const
    expect(channel.send(directives)).toBe(true)
    expect(await runner.next('directives')).toEqual({ type: 'directives', directives })
  })

  it('acknowledges again what is stored, without storing it again', async () => {
    const { connect, stored } = setUp()
    const first = connect()
    first.write(HELLO, report(1), report(2), report(2), report(1))
    for (const n of [1, 2, 2, 1]) expect(await first.next('ack')).toEqual({ type: 'ack', n })
    const second = connect()
    second.write(HELLO, report(1), report(2), report(3))
    expect(await second.next('welcome')).toMatchObject({ ackedN: 2 })
    for (const n of [1, 2, 3]) expect(await second.next('ack')).toEqual({ type: 'ack', n })
    expect(stored.map(({ n }) => n)).toEqual([1, 2, 3])
  })

  it('does not acknowledge what was not stored, and lets the runner come back', async () => {
    let broken = true
    const kept: number[] = []
    const { connect, disconnected } = setUp({
      onHello: async () => ({ generation: 1, ackedN: 0, assignment }),
      onReport: async ({ n }) => {
        if (broken) throw new Error('no database')
        kept.push(n)
        return undefined
      },
    })
    const runner = connect()
    runner.write(HELLO, report(1), report(2))
    expect(await disconnected).toBe('not_stored')
    await runner.closed
    expect(runner.frames.some(({ type }) => type === 'ack')).toBe(false)
    broken = false
    const again = connect()
    again.write(HELLO, report(1), report(2))
    await again.next('ack')
    await again.next('ack')
    expect(kept).toEqual([1, 2])
  })

  it('tells the runner what was refused for good', async () => {
    const { connect } = setUp({ onReport: async () => ({ refused: 'no_such_turn' }) })
    const runner = connect()
    runner.write(HELLO, report(1))
    expect(await runner.next('refused')).toEqual({ type: 'refused', n: 1, reason: 'no_such_turn' })
  })

  it('lets a runner wait for its work with its line kept alive, until a newer one takes its place', async () => {
    const assigned = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const aborted = Promise.withResolvers<void>()
    let hellos = 0
    const { connect, happened } = setUp({
      onHello: async (_, { wait, signal }) => {
        const mine = assigned[hellos++]
        signal.addEventListener('abort', () => {
          aborted.resolve()
          mine?.reject(signal.reason)
        })
        wait(true)
        await mine?.promise
        return { generation: 1, ackedN: 0, assignment }
      },
    })
    const first = connect()
    first.write(HELLO)
    await first.next('wait')
    first.write({ type: 'ping' }, { type: 'parked' }, { type: 'ping' })
    await first.next('pong')
    await first.next('pong')
    expect(happened).toEqual(['parked'])
    const second = connect()
    second.write(HELLO)
    await Promise.all([aborted.promise, first.closed, second.next('wait')])
    assigned[1]?.resolve()
    expect(await second.next('welcome')).toMatchObject({ assignment })
  })

  it('replaces the old connection, after what it was storing is done', async () => {
    const storing = Promise.withResolvers<void>()
    const started = Promise.withResolvers<void>()
    const order: string[] = []
    const { channel, connect } = setUp({
      onHello: async () => {
        order.push('hello')
        return { generation: 1, ackedN: order.length > 1 ? 1 : 0, assignment }
      },
      onReport: async ({ n }) => {
        started.resolve()
        await storing.promise
        order.push(`stored ${n}`)
        return undefined
      },
    })
    const old = connect()
    old.write(HELLO, report(1), report(2))
    await started.promise
    const next = connect()
    next.write(HELLO)
    await old.closed
    expect(order).toEqual(['hello'])
    storing.resolve()
    expect(await next.next('welcome')).toMatchObject({ ackedN: 1 })
    expect(order).toEqual(['hello', 'stored 1', 'hello'])
    expect(channel.connected()).toBe(true)
  })

  it('keeps the live connection when a second one says nothing', async () => {
    const { channel, connect } = setUp({}, { helloMs: 20 })
    const runner = connect()
    runner.write(HELLO)
    await runner.next('welcome')
    await connect().closed
    expect(channel.connected()).toBe(true)
    runner.write(report(1))
    expect(await runner.next('ack')).toEqual({ type: 'ack', n: 1 })
  })

  it('refuses a runner that is not wanted, with the reason', async () => {
    const { connect } = setUp({ onHello: async () => ({ refused: 'session_archived' }) })
    const runner = connect()
    runner.write(HELLO, report(1))
    expect(await runner.next('refused')).toMatchObject({ reason: 'session_archived' })
    await runner.closed
  })

  it('answers what it cannot read and closes when there is too much of it', async () => {
    const { connect, disconnected, stored } = setUp({}, { invalidFrames: 3 })
    const runner = connect()
    runner.write(HELLO)
    runner.raw('no json\n')
    expect(await runner.next('refused')).toEqual({ type: 'refused', n: null, reason: 'not_json' })
    runner.write({ type: 'report', n: 7, report: { type: 'push.accepted' } })
    expect(await runner.next('refused')).toEqual({ type: 'refused', n: 7, reason: 'invalid_frame' })
    runner.write({ type: 'report', n: -1, report: report(1).report })
    expect(await runner.next('refused')).toMatchObject({ n: null })
    runner.write(report(8))
    expect(await runner.next('ack')).toEqual({ type: 'ack', n: 8 })
    runner.write(null)
    expect(await disconnected).toBe('too_many_invalid_frames')
    expect(stored).toHaveLength(1)
  })

  it('closes at a frame over the cap, at silence, and without a hello', async () => {
    const large = setUp()
    const runner = large.connect()
    runner.write(HELLO)
    await runner.next('welcome')
    runner.raw('x'.repeat((1 << 20) + 1))
    expect(await large.disconnected).toBe('frame_too_large')
    const silent = setUp({}, { silentMs: 30 })
    silent.connect().write(HELLO)
    expect(await silent.disconnected).toBe('silent')
    const early = setUp()
    const eager = early.connect()
    eager.write(report(1))
    await eager.closed
    expect(early.stored).toEqual([])
  })

  it('answers pings, and reads no faster than the rate', async () => {
    const { connect } = setUp({}, { rate: { perSecond: 100, burst: 5 } })
    const runner = connect()
    const startedMs = performance.now()
    runner.write(HELLO, ...new Array(24).fill({ type: 'ping' }))
    for (let i = 0; i < 24; i++) await runner.next('pong')
    expect(performance.now() - startedMs).toBeGreaterThan(150)
  })

  it('closes everything when it is told to', async () => {
    const { channel, connect, disconnected } = setUp()
    const runner = connect()
    runner.write(HELLO)
    await runner.next('welcome')
    channel.close('door_closed')
    expect(await disconnected).toBe('door_closed')
    await runner.closed
    expect(channel.connected()).toBe(false)
  })
})
