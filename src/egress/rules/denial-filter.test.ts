import { expect, it } from 'vitest'
import { createDenialFilter } from './denial-filter.ts'

const decision = (host: string, fields: { sessionId?: string; allowed?: boolean } = {}) => ({
  ...{ id: 'c', startedMs: 0 },
  sessionId: 's_a',
  host,
  port: 443,
  method: 'CONNECT',
  allowed: false,
  reason: 'host_not_allowed',
  bytesUp: 0,
  bytesDown: 0,
  durationMs: 0,
  ...fields,
})

it('lets each denial through once in a while, and not too many', () => {
  let nowMs = 0
  const isWorth = createDenialFilter({ windowMs: 1_000, mostPerWindow: 2, now: () => nowMs })
  expect(isWorth(decision('a.example', { allowed: true }))).toBe(false)
  expect(isWorth(decision('a.example'))).toBe(true)
  expect(isWorth(decision('a.example'))).toBe(false)
  expect(isWorth(decision('a.example', { sessionId: 's_b' }))).toBe(true)
  expect(isWorth(decision('b.example'))).toBe(true)
  expect(isWorth(decision('c.example'))).toBe(false)
  nowMs = 1_000
  expect(isWorth(decision('c.example'))).toBe(true)
  expect(isWorth(decision('a.example'))).toBe(true)
})
