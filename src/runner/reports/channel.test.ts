import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createSilentLogger } from '../../lib/logger.ts'
import type { Directives, RunnerReport } from '../../protocol/runner-frames.ts'
import { type FakeGateway, startFakeGateway } from '../gateway.fixture.ts'
import { setupFor } from '../place.fixture.ts'
import { type Channel, openChannel } from './channel.ts'
import { type Journal, openJournal } from './journal.ts'

const turnId = 't_abcdefghijklmnopqrst'
const output = (text: string): RunnerReport => ({ type: 'command.output', turnId, text })

let folder: string
let gateway: FakeGateway
let journal: Journal
let channel: Channel
let generations: number[]
let directed: Directives[]
let onDirected: (directives: Directives) => void

function open(): void {
  channel = openChannel({
    socketPath: join(folder, 'gateway.sock'),
    journal,
    log: createSilentLogger(),
    onWait: () => channel.sendParked(),
    onWelcome: ({ generation }) => generations.push(generation),
    onDirectives: (directives) => {
      directed.push(directives)
      onDirected(directives)
    },
  })
}
const directedTo = (fits: (directives: Directives) => boolean) =>
  new Promise<void>((resolve) => {
    onDirected = (directives) => fits(directives) && resolve()
  })
const texts = () => gateway.ofType('command.output').map(({ text }) => text)
const arrived = (text: string) => gateway.wait('command.output', (report) => report.text === text)

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-channel-'))
  gateway = await startFakeGateway(join(folder, 'gateway.sock'))
  gateway.assign(setupFor('c0ffee'))
  journal = await openJournal({ folder })
  generations = []
  directed = []
  onDirected = () => undefined
})
afterEach(async () => {
  channel.close()
  await journal.close()
  await gateway.down()
  await rm(folder, { recursive: true })
})

describe('openChannel', () => {
  it('brings reports over in order and takes what is wanted', async () => {
    open()
    for (let i = 0; i < 1_000; i++) journal.append(output(String(i)))
    await arrived('999')
    expect(texts()).toEqual(Array.from({ length: 1_000 }, (_, i) => String(i)))
    expect(generations).toEqual([1])
    expect(directed).toEqual([{ turn: null, mode: 'work', model: null, answers: {} }])
  })

  it('takes what is wanted however long an answer is', async () => {
    open()
    journal.append(output('before'))
    await arrived('before')
    const message = 'x'.repeat(2 << 20)
    const answers = { q: { allow: true, answers: { 'Which log?': message }, message: '' } }
    const isDirected = directedTo((next) => 'q' in next.answers)
    gateway.direct({ answers })
    await isDirected
    expect(directed.at(-1)?.answers).toEqual(answers)
    expect(gateway.hellos).toHaveLength(1)
  })

  it('loses nothing and repeats nothing while the gateway is killed again and again', async () => {
    open()
    for (let round = 0; round < 5; round++) {
      for (let i = 0; i < 200; i++) journal.append(output(`${round}.${i}`))
      await arrived(`${round}.${round * 30}`)
      await gateway.down()
      journal.append(output(`${round}.away`))
      await gateway.up()
    }
    journal.append(output('last'))
    await arrived('last')
    const expected = [0, 1, 2, 3, 4].flatMap((round) => [
      ...Array.from({ length: 200 }, (_, i) => `${round}.${i}`),
      `${round}.away`,
    ])
    expect(texts()).toEqual([...expected, 'last'])
  })

  it('sends again what was never acknowledged', async () => {
    gateway.setAcknowledging(false)
    journal.append(output('a'))
    open()
    await expect.poll(() => generations.length).toBe(1)
    await gateway.down()
    gateway.setAcknowledging(true)
    await gateway.up()
    await arrived('a')
    expect(gateway.hellos).toEqual([{ lastN: 1 }, { lastN: 1 }])
    await expect.poll(() => journal.pending()).toEqual([])
  })

  it('sends live text at once, and drops it while nobody listens', async () => {
    open()
    await expect.poll(() => directed.length).toBe(1)
    channel.sendDelta(turnId, 'now')
    await expect.poll(() => gateway.deltas).toEqual(['now'])
    await gateway.down()
    channel.sendDelta(turnId, 'lost')
    await gateway.up()
    journal.append(output('after'))
    await arrived('after')
    expect(gateway.deltas).toEqual(['now'])
  })

  it('comes again when the gateway dies before it has answered at all', async () => {
    await gateway.down()
    const died = Promise.withResolvers<void>()
    // It has read what was asked: the line then ends without an error.
    const dying = createServer((line) => {
      line.once('data', () => line.destroy())
      line.once('close', () => died.resolve())
    })
    dying.listen(join(folder, 'gateway.sock'))
    await once(dying, 'listening')
    journal.append(output('after'))
    open()
    await died.promise
    dying.close()
    await gateway.up()
    await arrived('after')
  })

  it('tells a new generation after a reconnect', async () => {
    open()
    await expect.poll(() => generations).toEqual([1])
    gateway.setGeneration(2)
    await gateway.down()
    await gateway.up()
    await expect.poll(() => generations).toEqual([1, 2])
  })
})
