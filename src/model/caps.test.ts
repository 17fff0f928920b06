import { expect, it } from 'vitest'
import { createModelCaps } from './caps.ts'

const USAGE = {
  ...{ requests: 3, inputTokens: 10, outputTokens: 20, cacheReadTokens: 30 },
  ...{ cacheCreationTokens: 40, costUsd: null },
}

it('allows every model without a list, and else those that fit', () => {
  const all = createModelCaps({ allowed: [], tokens: 0, usd: 0 }, () => undefined)
  expect(all.allowsModel('s', 'anything')).toBe(true)
  const some = createModelCaps(
    { allowed: ['claude-haiku-*', 'm.1'], tokens: 0, usd: 0 },
    () => undefined,
  )
  const models = ['claude-haiku-4-5', 'm.1', 'mx1', 'my-claude-haiku-4-5', 'claude-opus-5']
  expect(models.filter((model) => some.allowsModel('s', model))).toEqual([
    'claude-haiku-4-5',
    'm.1',
  ])
})

it('ends what has cost as much as it may, and lets nothing in whose cost cannot be counted', () => {
  const at = (usd: number, costUsd: number | null) =>
    createModelCaps({ allowed: [], tokens: 0, usd }, () => ({ ...USAGE, costUsd }))
  const left = [at(0, 100), at(2.5, null), at(2.5, 2.49), at(2.5, 2.5)]
  expect(left.map((caps) => caps.hasMoneyLeft('s'))).toEqual([true, true, true, false])
  const model = 'claude-opus-5-5'
  const unpriced = [
    { model: 'unheard-of' },
    { model, speed: 'fast' },
    { model, fallbacks: [{ model: 'unheard-of' }] },
    { model, fallbacks: 'default' },
  ]
  for (const asked of unpriced) {
    expect(at(0, 0).isPriced(asked), JSON.stringify(asked)).toBe(true)
    expect(at(1, 0).isPriced(asked), JSON.stringify(asked)).toBe(false)
  }
  expect(at(1, 0).isPriced({ model, speed: 'standard', fallbacks: [{ model }] })).toBe(true)
})

it('counts every kind of token, and none without a limit', () => {
  const at = (tokens: number) => createModelCaps({ allowed: [], tokens, usd: 0 }, () => USAGE)
  expect([101, 100, 0].map((tokens) => at(tokens).hasTokensLeft('s'))).toEqual([true, false, true])
  expect(
    createModelCaps({ allowed: [], tokens: 1, usd: 0 }, () => undefined).hasTokensLeft('s'),
  ).toBe(true)
})
