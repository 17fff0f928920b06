import { describe, expect, it } from 'vitest'
import type { RunnerReport } from '../../protocol/runner-frames.ts'
import { createReportOrder } from './report-order.ts'

const text = (uuid: string): RunnerReport => ({
  type: 'assistant.text',
  turnId: 't_aaaaaaaaaaaaaaaaaaaa',
  uuid,
  text: uuid,
})
const create = (patienceMs?: number) => {
  const told: string[] = []
  const written = new Set<string>()
  const order = createReportOrder({
    report: (report) => told.push('uuid' in report ? report.uuid : report.type),
    transcript: { has: (uuid) => written.has(uuid), look: async () => undefined },
    patienceMs,
  })
  return { told, written, order }
}
const question: RunnerReport = { type: 'question.closed', questionId: 'q' }

describe('createReportOrder', () => {
  it('tells what was written down, in the order in which it was said', async () => {
    const { told, written, order } = create()
    order.add('a', [text('a')])
    order.add('b', [text('b')])
    order.add(null, [question])
    written.add('b')
    await new Promise((resolve) => setTimeout(resolve, 60))
    expect(told).toEqual([])
    written.add('a')
    await order.settle()
    expect(told).toEqual(['a', 'b', 'question.closed'])
  })

  it('tells at once what need not be written down when nothing is held', () => {
    const { told, order } = create()
    order.add(null, [question])
    expect(told).toEqual(['question.closed'])
  })

  it('keeps nothing back of what comes in one breath', async () => {
    const { told, order } = create()
    order.add(null, [question])
    order.add(null, [question])
    await order.settle()
    expect(told).toEqual(['question.closed', 'question.closed'])
  })

  it('drops what a dead agent has not written down', async () => {
    const { told, written, order } = create()
    for (const uuid of ['a', 'b', 'c']) order.add(uuid, [text(uuid)])
    order.add(null, [question])
    written.add('b')
    await order.settleAfterDeath()
    expect(told).toEqual(['b', 'question.closed'])
  })

  it('does not wait for ever for an agent that writes nothing down', async () => {
    const { told, order } = create(30)
    order.add('a', [text('a')])
    await order.settle()
    expect(told).toEqual(['a'])
  })
})
