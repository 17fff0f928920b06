import { appendFile, mkdir, mkdtemp, readFile, rm, rmdir, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { withFileLimit } from '../../lib/file-limit.fixture.ts'
import { createObservations, type Observations, type ObservedPush } from './observations.ts'

const push = (message: string): ObservedPush => ({
  kind: 'push',
  sessionId: `s_${'a'.repeat(20)}`,
  ref: 'refs/heads/x',
  old: '0'.repeat(40),
  new: '1'.repeat(40),
  accepted: true,
  reason: null,
  outward: 'none',
  message,
})

let folder: string
let observations: Observations
const reopen = async () => {
  await observations?.close()
  observations = await createObservations(folder, () => '2026-01-01T00:00:00.000Z')
}

const take = async (after: number, count: number) => {
  const taken: [number, string][] = []
  for await (const { n, message } of observations.follow(after, AbortSignal.timeout(5_000))) {
    taken.push([n, message])
    if (taken.length === count) break
  }
  return taken
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-observations-'))
  observations = await createObservations(folder, () => '2026-01-01T00:00:00.000Z')
})

afterEach(async () => {
  await observations.close()
  await rm(folder, { recursive: true, force: true })
})

describe('observations', () => {
  it('are numbered, followed live, and still there after a restart', async () => {
    const live = take(0, 2)
    await observations.add(push('one'))
    await observations.add(push('two'))
    expect(await live).toEqual([
      [1, 'one'],
      [2, 'two'],
    ])
    await reopen()
    expect(await take(1, 1)).toEqual([[2, 'two']])
  })

  it('are forgotten when acknowledged, and their numbers never come again', async () => {
    for (const message of ['one', 'two', 'three']) await observations.add(push(message))
    await observations.acknowledge(2)
    await observations.acknowledge(1)
    expect(await take(0, 1)).toEqual([[3, 'three']])
    await reopen()
    expect(await take(0, 1)).toEqual([[3, 'three']])
    await observations.acknowledge(99)
    await reopen()
    await observations.add(push('four'))
    expect(await take(0, 1)).toEqual([[4, 'four']])
    expect(
      (await readFile(join(folder, 'journal.ndjson'), 'utf8')).trim().split('\n'),
    ).toHaveLength(2)
  })

  it('survive a line that was cut', async () => {
    await observations.add(push('one'))
    await appendFile(join(folder, 'journal.ndjson'), '{"kind":"push","n":2')
    await reopen()
    await observations.add(push('two'))
    await reopen()
    expect(await take(0, 2)).toEqual([
      [1, 'one'],
      [2, 'two'],
    ])
  })

  it('lose none after one that found no room on the disk', async () => {
    await observations.add(push('one'))
    const { size } = await stat(join(folder, 'journal.ndjson'))
    await withFileLimit(size + 20, async () => {
      await expect(observations.add(push('two'))).rejects.toMatchObject({ code: 'EFBIG' })
    })
    await observations.add(push('three'))
    await reopen()
    expect(await take(0, 2)).toEqual([
      [1, 'one'],
      [2, 'three'],
    ])
  })

  it('go on when there was no room to write the journal anew', async () => {
    const long = 'x'.repeat(300_000)
    for (let n = 1; n <= 4; n++) await observations.add(push(long))
    const inTheWay = join(folder, 'journal.ndjson.new')
    await mkdir(inTheWay)
    await expect(observations.acknowledge(1)).rejects.toThrow()
    await rmdir(inTheWay)
    await observations.add(push('five'))
    await observations.acknowledge(4)
    await reopen()
    expect(await take(0, 1)).toEqual([[5, 'five']])
  })

  it('stop being followed when the signal aborts', async () => {
    const controller = new AbortController()
    const followed = observations.follow(0, controller.signal).next()
    controller.abort()
    expect(await followed).toEqual({ done: true, value: undefined })
  })
})
