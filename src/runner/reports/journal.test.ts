import { appendFile, mkdtemp, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { withFileLimit } from '../../lib/file-limit.fixture.ts'
import type { RunnerReport } from '../../protocol/runner-frames.ts'
import { type Journal, openJournal } from './journal.ts'

const turnId = 't_abcdefghijklmnopqrst'
const output = (text: string): RunnerReport => ({ type: 'command.output', turnId, text })
const textsOf = (journal: Journal) =>
  journal.pending().map(({ n, report }) => [n, 'text' in report ? report.text : report.type])

let folder: string
let path: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-journal-'))
  path = join(folder, 'journal.ndjson')
})
afterEach(() => rm(folder, { recursive: true }))

describe('openJournal', () => {
  it('has on disk what it calls durable, and numbers it from 1', async () => {
    const journal = await openJournal({ folder })
    journal.append(output('a'))
    journal.append(output('b'))
    expect(journal.durableAfter(0, 10)).toEqual([])
    await journal.flush()
    expect(journal.durableAfter(0, 10).map(({ n }) => n)).toEqual([1, 2])
    expect(journal.durableAfter(1, 10).map(({ n }) => n)).toEqual([2])
    expect((await readFile(path, 'utf8')).split('\n').length).toBe(3)
    await journal.close()
  })

  it('goes on after a restart: what was not acknowledged is there, numbers go on', async () => {
    const first = await openJournal({ folder })
    for (const text of ['a', 'b', 'c']) first.append(output(text))
    first.acknowledge(1)
    await first.close()
    const second = await openJournal({ folder })
    second.acknowledge(1)
    second.append(output('d'))
    expect(textsOf(second)).toEqual([
      [2, 'b'],
      [3, 'c'],
      [4, 'd'],
    ])
    await second.close()
  })

  it('recovers from a cut at any byte', async () => {
    const whole = await openJournal({ folder })
    for (const text of ['a', 'ü', 'c']) whole.append(output(text))
    await whole.close()
    const bytes = await readFile(path)
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length), async (end) => {
        await writeFile(path, bytes)
        await truncate(path, end)
        const journal = await openJournal({ folder })
        const kept = bytes.subarray(0, end).toString().split('\n').length - 1
        expect(journal.lastN()).toBe(kept)
        journal.append(output('after'))
        await journal.close()
        const again = await openJournal({ folder })
        expect(again.pending().length).toBe(kept + 1)
        await again.close()
      }),
      { numRuns: 60 },
    )
  })

  it('drops what follows a broken line', async () => {
    const first = await openJournal({ folder })
    first.append(output('a'))
    await first.close()
    await appendFile(path, '{"n":2,"report":{"type":"nonsense"}}\n{"n":3}\n\u0000\u0000\n')
    const second = await openJournal({ folder })
    expect(second.lastN()).toBe(1)
    await second.close()
  })

  it('is written anew when much was acknowledged, and keeps its numbers', async () => {
    const journal = await openJournal({ folder })
    journal.append({ type: 'assistant.text', turnId, uuid: 'said', text: 'x' })
    for (let i = 1; i < 60; i++) journal.append(output('x'.repeat(100_000)))
    await journal.flush()
    expect((await stat(path)).size).toBeGreaterThan(5 << 20)
    journal.acknowledge(59)
    journal.append(output('last'))
    await journal.close()
    expect((await stat(path)).size).toBeLessThan(200_000)
    const again = await openJournal({ folder })
    expect(again.pending().map(({ n }) => n)).toEqual([60, 61])
    again.acknowledge(61)
    expect(again.lastN()).toBe(61)
    expect([again.hasReported('said'), again.hasReported('other')]).toEqual([true, false])
    await again.close()
  })

  it('drops output with one notice when it is full, but never how a turn ended', async () => {
    const journal = await openJournal({ folder, maxBytes: 1_000 })
    for (let i = 0; i < 50; i++) journal.append(output('x'.repeat(100)))
    journal.append({ type: 'turn.interrupted', turnId })
    const types = journal.pending().map(({ report }) => report.type)
    expect(types.filter((type) => type === 'agent.notice').length).toBe(1)
    expect(types.at(-1)).toBe('turn.interrupted')
    expect(types.length).toBeLessThan(12)
    journal.acknowledge(journal.lastN())
    journal.append(output('again'))
    expect(journal.pending().map(({ report }) => report.type)).toEqual(['command.output'])
    await journal.close()
  })

  it('goes on from what the gateway knows when the journal was lost', async () => {
    const journal = await openJournal({ folder })
    journal.append(output('a'))
    journal.append(output('b'))
    journal.continueAfter(57)
    await journal.flush()
    expect(journal.durableAfter(57, 10).map(({ n }) => n)).toEqual([58, 59])
    await journal.close()
    const again = await openJournal({ folder })
    again.acknowledge(57)
    expect(textsOf(again)).toEqual([
      [58, 'a'],
      [59, 'b'],
    ])
    await again.close()
  })

  it('has on disk after a restart what came when the disk was full, and all that came after it', async () => {
    const errors: unknown[] = []
    const journal = await openJournal({ folder, onDiskError: (error) => errors.push(error) })
    journal.append(output('one'))
    await journal.flush()
    await withFileLimit((await stat(path)).size + 20, async () => {
      journal.append(output('two'))
      await journal.flush()
    })
    expect(errors).toMatchObject([{ code: 'EFBIG' }])
    journal.append(output('three'))
    await journal.flush()
    const texts = textsOf(journal)
    await journal.close()
    const again = await openJournal({ folder })
    expect(textsOf(again)).toEqual(texts)
    expect(texts.map(([, text]) => text)).toEqual(['one', 'two', 'three'])
    await again.close()
  })

  it('sends from memory when the disk refuses', async () => {
    const errors: unknown[] = []
    const journal = await openJournal({ folder, onDiskError: (error) => errors.push(error) })
    await rm(folder, { recursive: true })
    journal.append(output('a'))
    await journal.flush()
    expect(errors.length).toBe(1)
    expect(journal.durableAfter(0, 10).length).toBe(1)
    await journal.close()
    folder = await mkdtemp(join(tmpdir(), 'errand-journal-'))
  })
})
