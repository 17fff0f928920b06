import { appendFileSync, mkdirSync, mkdtempSync, rmdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { withFileLimit } from '../lib/file-limit.fixture.ts'
import type { ModelUsage } from './pass-through.ts'
import { openUsageJournal } from './usage-journal.ts'

let folder: string
let path: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'errand-usage-'))
  path = join(folder, 'usage.ndjson')
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const fail = (error: unknown) => {
  throw error
}

const usage = (requestId: string, outputTokens: number): ModelUsage => ({
  sessionId: 's_aaaaaaaaaaaaaaaaaaaa',
  requestId,
  upstreamRequestId: undefined,
  model: 'm',
  inputTokens: 3,
  outputTokens,
  cacheCreationTokens: 0,
  cacheReadTokens: 0,
  costUsd: 0.5,
  durationMs: 10,
  status: 200,
  stopReason: null,
})

/** As after SIGKILL: the first one is never closed. */
function openTwice(write: (journal: ReturnType<typeof openUsageJournal>) => void) {
  const first = openUsageJournal(path, fail)
  expect(first.left).toEqual([])
  write(first)
  return openUsageJournal(path, fail)
}

it('tells after a death what was noted last and not stored', () => {
  const { left } = openTwice((journal) => {
    for (const name of ['a', 'b']) journal.note(usage(name, 1))
    journal.note(usage('b', 7))
    journal.forget('a')
    journal.forget('never noted')
  })
  expect(left).toEqual([usage('b', 7)])
})

it('tells it again until it is stored', () => {
  openTwice((journal) => journal.note(usage('a', 1))).close()
  const again = openUsageJournal(path, fail)
  expect(again.left).toEqual([usage('a', 1)])
  again.forget('a')
  expect(openUsageJournal(path, fail).left).toEqual([])
})

it('leaves out a line that was cut, and what it cannot read', () => {
  openTwice((journal) => journal.note(usage('a', 1))).close()
  appendFileSync(path, '{"used":{"requestId":"b"}}\n{"used":{"sess')
  expect(openUsageJournal(path, fail).left).toEqual([usage('a', 1)])
})

it('does not grow without an end, and keeps what is open meanwhile', () => {
  const { left } = openTwice((journal) => {
    journal.note(usage('open', 1))
    for (let index = 0; index < 10_000; index++) {
      journal.note(usage(`r${index}`, 1))
      journal.forget(`r${index}`)
    }
    expect(statSync(path).size).toBeLessThan(2 << 20)
  })
  expect(left).toEqual([usage('open', 1)])
})

it('tells after a death what it could note again once there was room on the disk', async () => {
  const errors: unknown[] = []
  const journal = openUsageJournal(path, (error) => errors.push(error))
  journal.note(usage('a', 1))
  await withFileLimit(statSync(path).size + 20, async () => journal.note(usage('b', 1)))
  expect(errors).toMatchObject([{ code: 'EFBIG' }])
  journal.note(usage('c', 1))
  expect(openUsageJournal(path, fail).left).toEqual([usage('a', 1), usage('b', 1), usage('c', 1)])
})

it('goes on in its file when there was no room to write that anew', async () => {
  const errors: unknown[] = []
  const journal = openUsageJournal(path, (error) => errors.push(error))
  journal.note(usage('open', 1))
  for (let index = 0; statSync(path).size < 1_000_000; index++) journal.note(usage('long', index))
  await withFileLimit(1_100_000, async () => {
    // A folder stands where the new file would.
    mkdirSync(`${path}.new`)
    for (let index = 0; index < 300; index++) journal.note(usage('long', index))
    expect(errors.length).toBeGreaterThan(0)
  })
  rmdirSync(`${path}.new`)
  journal.note(usage('after', 1))
  expect(openUsageJournal(path, fail).left.map(({ requestId }) => requestId)).toEqual([
    ...['open', 'long', 'after'],
  ])
})

it('is opened where there is no room to write it anew, and loses nothing', async () => {
  openUsageJournal(path, fail).note(usage('a', 1))
  const errors: unknown[] = []
  let journal: ReturnType<typeof openUsageJournal> | undefined
  await withFileLimit(20, async () => {
    journal = openUsageJournal(path, (error) => errors.push(error))
    expect(journal.left).toEqual([usage('a', 1)])
    journal.note(usage('b', 1))
  })
  expect(errors).toMatchObject([{ code: 'EFBIG' }, { code: 'EFBIG' }])
  expect(openUsageJournal(path, fail).left).toEqual([usage('a', 1)])
  journal?.note(usage('c', 1))
  expect(openUsageJournal(path, fail).left.map(({ requestId }) => requestId)).toEqual([
    ...['a', 'b', 'c'],
  ])
})

it('knows what of each session is not stored yet', () => {
  const journal = openUsageJournal(path, fail)
  const [a, b] = [usage('a', 1), { ...usage('b', 1), sessionId: 's_b' }]
  for (const one of [usage('a', 0), a, b]) journal.note(one)
  expect(journal.waiting(a.sessionId)).toEqual([a])
  expect(journal.waiting(b.sessionId)).toEqual([b])
  journal.forget('a')
  expect(journal.waiting(a.sessionId)).toEqual([])
})
