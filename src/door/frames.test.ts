// Whatever a sandbox sends as its runner: the channel survives it, believes only frames of the closed set, and takes reports
// in rising order.
import { duplexPair } from 'node:stream'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { createLineSplitter, encodeLine } from '../lib/ndjson.ts'
import { RUNNER_PROTOCOL, runnerReportSchema } from '../protocol/runner-frames.ts'
import { createRunnerChannel } from './runner-channel.ts'
import type { JournalEntry } from './runner-connection.ts'

const hello = { type: 'hello', protocol: RUNNER_PROTOCOL, lastN: 0 }
const turnId = 't_aaaaaaaaaaaaaaaaaaaa'
const numbers = fc.oneof(fc.integer({ min: -2, max: 9 }), fc.double(), fc.constant('1'))
const reports = fc.oneof(
  fc.constant({ type: 'agent.notice', turnId: null, kind: 'note', text: 'x' }),
  fc.constant({ type: 'turn.interrupted', turnId }),
  fc.record({ type: fc.constantFrom('push.accepted', 'model.used', 'egress.denied', '__proto__') }),
  fc.jsonValue(),
)
const lines = fc.oneof(
  fc.record({ type: fc.constant('report'), n: numbers, report: reports }).map(encodeLine),
  fc.record({ type: fc.constantFrom('delta', 'parked', 'ping', 'welcome', 'ack') }).map(encodeLine),
  fc.jsonValue().map(encodeLine),
  fc.string().map((text) => `${text.replaceAll('\n', '')}\n`),
  fc.uint8Array({ maxLength: 50 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
)

/** Sends it in pieces of this size and answers with what came back and what was taken. */
async function converse(text: string, pieceBytes: number) {
  const [runner, door] = duplexPair()
  const taken: JournalEntry[] = []
  const channel = createRunnerChannel({
    onHello: async () => ({ generation: 1, ackedN: 0, assignment: ASSIGNMENT }),
    onParked: () => undefined,
    onConnected: () => undefined,
    onReport: async (entry) => {
      taken.push(entry)
      return undefined
    },
    onDelta: () => undefined,
    onDisconnected: () => undefined,
  })
  const frames: { type: string }[] = []
  const ended = new Promise<void>((resolve) => {
    const split = createLineSplitter(1 << 20)
    runner.on('data', (chunk: Buffer) => {
      const all = split(chunk).filter((line) => line.startsWith('{'))
      frames.push(...all.map((line) => JSON.parse(line)))
    })
    runner.on('end', resolve)
    runner.on('close', resolve)
  })
  channel.accept(door, Buffer.alloc(0))
  const bytes = Buffer.from(encodeLine(hello) + text)
  for (let at = 0; at < bytes.length; at += pieceBytes)
    runner.write(bytes.subarray(at, at + pieceBytes))
  runner.end()
  await ended
  return { frames, taken }
}

const ASSIGNMENT = {
  kind: 'work' as const,
  repository: { name: 'r', url: '', commit: 'c0ffee', branch: 'b', baseBranch: null },
  identity: { name: 'Errand', email: 'errand@example.com' },
  sessionUrl: null,
}

it('takes reports of the closed set alone, in rising order', async () => {
  const cases = fc.asyncProperty(
    fc.array(lines, { maxLength: 20 }),
    fc.integer({ min: 1, max: 400 }),
    async (sent, pieceBytes) => {
      const { frames, taken } = await converse(sent.join(''), pieceBytes)
      for (const { report } of taken)
        expect(runnerReportSchema.safeParse(report)).toMatchObject({ success: true })
      const order = taken.map(({ n }) => n)
      expect(order).toEqual([...new Set(order)].toSorted((a, b) => a - b))
      for (const { type } of frames)
        expect(['welcome', 'ack', 'refused', 'pong', 'directives', 'wait']).toContain(type)
    },
  )
  await fc.assert(cases, { numRuns: 200 })
})

it('takes a report that fits', async () => {
  const report = { type: 'turn.interrupted', turnId }
  const { frames, taken } = await converse(encodeLine({ type: 'report', n: 1, report }), 7)
  expect(taken).toEqual([{ generation: 1, n: 1, report }])
  expect(frames).toContainEqual({ type: 'ack', n: 1 })
})
