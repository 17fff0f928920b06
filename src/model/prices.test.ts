import { describe, expect, it } from 'vitest'
import { type BilledUsage, costUsd } from './prices.ts'

const usage = (over: Partial<BilledUsage>): BilledUsage => ({
  inputTokens: 0,
  outputTokens: 0,
  cacheReadTokens: 0,
  cacheCreationTokens: 0,
  cacheCreation1hTokens: 0,
  ...over,
})

describe('costUsd', () => {
  it('adds up what Claude Code itself counted for a session of six requests', () => {
    const counted = { inputTokens: 24, outputTokens: 432, cacheReadTokens: 75_844 }
    const cost = costUsd('claude-opus-5-5', usage({ ...counted, cacheCreationTokens: 3340 }))
    expect(cost).toBeCloseTo(0.0406048, 10)
  })

  it('prices the cache of an hour apart', () => {
    const written = usage({ cacheCreationTokens: 1_000_000, cacheCreation1hTokens: 400_000 })
    expect(costUsd('claude-sonnet-4-5-20250929', written)).toBeCloseTo(0.6 * 3.75 + 0.4 * 6)
  })

  it('prices long prompts and a region apart', () => {
    const short = usage({ inputTokens: 100_000 })
    const long = usage({ inputTokens: 100_000, cacheReadTokens: 1 })
    expect(costUsd('claude-haiku-5-5', short)).toBeCloseTo(0.01)
    expect(costUsd('claude-haiku-5-5', long)).toBeCloseTo(0.05)
    expect(costUsd('claude-haiku-5-5', { ...short, inferenceGeo: 'us' })).toBeCloseTo(0.011)
  })

  it.each([
    'claude-opus-4-20250514',
    'claude-opus-4-0',
    'claude-3-5-haiku-latest',
    'claude-sonnet-4-6[1m]',
  ])('knows %s', (model) => {
    expect(costUsd(model, usage({ inputTokens: 1 }))).toBeGreaterThan(0)
  })

  it.each(['gpt-9', 'claude-opus-5-6', 'claude-opus-55', '', '__proto__', 'constructor'])(
    'has no price for "%s"',
    (model) => {
      expect(costUsd(model, usage({ inputTokens: 1 }))).toBeUndefined()
    },
  )

  it('has no price for a speed that is not in the list', () => {
    expect(costUsd('claude-opus-5-5', usage({ inputTokens: 1, speed: 'fast' }))).toBeUndefined()
  })
})
