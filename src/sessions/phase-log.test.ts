import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { createPhaseLog } from './phase-log.ts'

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

function collect(mostLines?: number) {
  const reports: string[][] = []
  const log = createPhaseLog(async (lines) => reports.push(lines), { mostLines })
  return { log, reports }
}

it('reports once a second, and of lines that count only the last', async () => {
  const { log, reports } = collect()
  for (const percent of [1, 2, 3]) log.add(`Receiving objects:   ${percent}% (${percent}/100)`)
  log.add('remote: slow')
  expect(reports).toEqual([])
  await vi.advanceTimersByTimeAsync(1_000)
  expect(reports).toEqual([['Receiving objects:   3% (3/100)', 'remote: slow']])
  log.add('fatal: gone')
  await log.end()
  expect(reports[1]).toEqual(['fatal: gone'])
})

it('has an end: what comes after many lines is left out, but for the last', async () => {
  const { log, reports } = collect(10)
  for (let n = 0; n < 1_000; n++) {
    log.add(`line ${n}!`)
    if (n % 100 === 0) await vi.advanceTimersByTimeAsync(1_000)
  }
  await log.end()
  const lines = reports.flat()
  expect(lines.length).toBeLessThanOrEqual(30)
  expect(lines[0]).toBe('line 0!')
  expect(lines.at(-1)).toBe('line 999!')
})

it('goes on when a report fails', async () => {
  let calls = 0
  const log = createPhaseLog(async () => {
    calls++
    throw new Error('no database')
  })
  log.add('a')
  await vi.advanceTimersByTimeAsync(1_000)
  log.add('b')
  await log.end()
  expect(calls).toBe(2)
})
