import { expect, it } from 'vitest'
import { createTraffic } from './traffic.ts'

const NOON = Date.UTC(2026, 0, 2, 12)
const HOUR_MS = 3_600_000

function setUp(limits = { connectionsPerSecond: 2, bytesPerDay: 1_000 }) {
  const clock = { now: NOON, ticks: 0, limits }
  const traffic = createTraffic({
    limitsFor: (id) => (id === 'free' ? undefined : clock.limits),
    usedBefore: (id, day) => (id === 'old' && day === '2026-01-02' ? 900 : 0),
    now: () => clock.now,
    ticks: () => clock.ticks,
  })
  return { clock, traffic }
}

it('lets so many connections through at once, then so many a second, each session for itself', () => {
  const { clock, traffic } = setUp()
  for (let n = 0; n < 8; n++) expect(traffic.admit('a')).toBeNull()
  expect(traffic.admit('a')).toEqual({ reason: 'rate_limited', retryAfterS: 1 })
  expect(traffic.admit('b')).toBeNull()
  clock.ticks += 500
  expect(traffic.admit('a')).toBeNull()
  expect(traffic.admit('a')?.reason).toBe('rate_limited')
  for (let n = 0; n < 100; n++) expect(traffic.admit('free')).toBeNull()
})

it('says when the bytes of the day are used up, and gives new ones at midnight UTC', () => {
  const { clock, traffic } = setUp()
  expect(traffic.use('a', 999)).toBe(true)
  expect(traffic.use('a', 1)).toBe(false)
  clock.now += HOUR_MS
  expect(traffic.admit('a')).toEqual({ reason: 'bytes_exhausted', retryAfterS: 11 * 3_600 })
  clock.now += 11 * HOUR_MS
  expect(traffic.admit('a')).toBeNull()
  expect(traffic.use('free', 1e15)).toBe(true)
})

it('goes on where an earlier run had come to, and holds a changed limit at once', () => {
  const { clock, traffic } = setUp()
  expect(traffic.use('old', 99)).toBe(true)
  expect(traffic.use('old', 1)).toBe(false)
  clock.limits = { connectionsPerSecond: 2, bytesPerDay: 2_000 }
  expect(traffic.admit('old')).toBeNull()
  clock.limits = { connectionsPerSecond: 1, bytesPerDay: 2_000 }
  for (let n = 0; n < 4; n++) expect(traffic.admit('old')).toBeNull()
  expect(traffic.admit('old')?.reason).toBe('rate_limited')
})
