import { expect, it } from 'vitest'
import type { EventBody, SessionEvent } from '../src/protocol/event.ts'
import { traceOf } from './trace.ts'

const T0 = Date.parse('2026-01-01T00:00:00.000Z')

function eventsAt(marks: [number, EventBody][]): SessionEvent[] {
  return marks.map(([ms, body], index) => ({
    sessionId: `s_${'a'.repeat(20)}`,
    seq: index + 1,
    at: new Date(T0 + ms).toISOString(),
    source: 'system',
    body,
  }))
}

it('splits the way into parts that add up to the whole', () => {
  const generation = 1
  const events = eventsAt([
    [10, { type: 'phase.started', phase: 'sandbox', generation }],
    [12, { type: 'phase.started', phase: 'fetch', generation }],
    [110, { type: 'phase.completed', phase: 'sandbox', generation, durationMs: 100 }],
    [165, { type: 'phase.completed', phase: 'fetch', generation, durationMs: 153 }],
    [300, { type: 'sandbox.ready', generation }],
  ])
  const trace = traceOf(events, { submittedAt: T0, requestAt: T0 + 420 })
  expect(Object.fromEntries(trace)).toEqual({
    ...{ queue: 10, sandbox: 100, fetch: 55, ready: 135, request: 120 },
  })
  expect([...trace.values()].reduce((sum, part) => sum + part)).toBe(420)
})

it('gives nothing to a part that was over before its turn', () => {
  const generation = 1
  const events = eventsAt([
    [10, { type: 'phase.started', phase: 'sandbox', generation }],
    [60, { type: 'phase.completed', phase: 'fetch', generation, durationMs: 50 }],
    [110, { type: 'phase.completed', phase: 'sandbox', generation, durationMs: 100 }],
  ])
  const trace = traceOf(events, { submittedAt: T0, requestAt: T0 + 200 })
  expect(Object.fromEntries(trace)).toEqual({ queue: 10, sandbox: 100, fetch: 0, request: 90 })
})
