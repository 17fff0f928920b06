import { describe, expect, it } from 'vitest'
import { AppError } from '../protocol/errors.ts'
import type { RunnerReport } from '../protocol/runner-frames.ts'
import { createPreparation, type PhaseWork, prepareWorkspace } from './workspace.ts'

const signal = new AbortController().signal
const prepare = async (work: PhaseWork, limitMs = 1_000) => {
  const reports: RunnerReport[] = []
  const phases = [
    { name: 'checkout' as const, work },
    { name: 'agent' as const, work: async () => 'done' as const },
  ]
  const limitsMs = { checkout: limitMs }
  const report = (item: RunnerReport) => reports.push(item)
  const isReady = await prepareWorkspace({ report, phases, limitsMs }, 3, signal)
  return { isReady, reports }
}

describe('prepareWorkspace', () => {
  it('tells every phase with its log, and that it is ready', async () => {
    const { isReady, reports } = await prepare(async (logged) => {
      logged(['a line'])
      return 'kept'
    })
    expect(isReady).toBe(true)
    expect(reports.map(({ type }) => type)).toEqual([
      'phase.started',
      'phase.logged',
      'phase.completed',
      'phase.started',
      'phase.completed',
      'runner.ready',
    ])
    expect(reports[2]).toMatchObject({ phase: 'checkout', kept: true })
    expect(reports[4]).not.toHaveProperty('kept')
    expect(reports.every((report) => 'generation' in report && report.generation === 3)).toBe(true)
  })

  it('stops at a failure, with its reason', async () => {
    const { isReady, reports } = await prepare(async () => {
      throw new AppError('unavailable', 'checkout_failed', 'no such repository')
    })
    expect(isReady).toBe(false)
    const last = { type: 'phase.failed', reason: 'checkout_failed', message: 'no such repository' }
    expect(reports.at(-1)).toMatchObject(last)
  })

  it('ends a phase at its limit', async () => {
    const { reports } = await prepare(() => new Promise(() => undefined), 20)
    expect(reports.at(-1)).toMatchObject({ type: 'phase.failed', reason: 'checkout_timed_out' })
  })
})

describe('createPreparation', () => {
  it('prepares once for each generation, one after the other', async () => {
    const begun: number[] = []
    const waiting: ((isReady: boolean) => void)[] = []
    let ready = 0
    const preparation = createPreparation(
      (generation) => {
        begun.push(generation)
        return new Promise((resolve) => waiting.push(resolve))
      },
      () => {
        ready++
      },
    )
    preparation.want(1)
    preparation.want(1)
    preparation.want(2)
    preparation.want(3)
    expect(begun).toEqual([1])
    waiting[0]?.(false)
    await expect.poll(() => begun).toEqual([1, 3])
    expect(preparation.isReady()).toBe(false)
    waiting[1]?.(true)
    await expect.poll(() => ready).toBe(1)
    expect(preparation.isReady()).toBe(true)
  })
})
