import { expect, it } from 'vitest'
import { createModelCaps, type SessionUsage } from './caps.ts'

const USAGE = {
  ...{ requests: 3, inputTokens: 10, outputTokens: 20, cacheReadTokens: 30 },
  ...{ cacheCreationTokens: 40, costUsd: null },
}

/** All of it stored. */
const having = (stored: ReturnType<SessionUsage['stored']>): SessionUsage => ({
  stored: () => stored,
  waiting: () => [],
})

it('allows every model without a list, and else those that fit', () => {
  const all = createModelCaps({ allowed: [], tokens: 0, usd: 0 }, having(undefined))
  expect(all.allowsModel('s', 'anything')).toBe(true)
  const some = createModelCaps(
    { allowed: ['claude-haiku-*', 'm.1'], tokens: 0, usd: 0 },
    having(undefined),
  )
  const models = ['claude-haiku-4-5', 'm.1', 'mx1', 'my-claude-haiku-4-5', 'claude-opus-5']
  expect(models.filter((model) => some.allowsModel('s', model))).toEqual([
    'claude-haiku-4-5',
    'm.1',
  ])
})

it('ends what has cost as much as it may, and lets nothing in whose cost cannot be counted', () => {
  const at = (usd: number, costUsd: number | null) =>
    createModelCaps({ allowed: [], tokens: 0, usd }, having({ ...USAGE, costUsd }))
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
  const at = (tokens: number) => createModelCaps({ allowed: [], tokens, usd: 0 }, having(USAGE))
  expect([101, 100, 0].map((tokens) => at(tokens).hasTokensLeft('s'))).toEqual([true, false, true])
  expect(
    createModelCaps({ allowed: [], tokens: 1, usd: 0 }, having(undefined)).hasTokensLeft('s'),
  ).toBe(true)
})

it('counts what is not stored yet, as while the database is away', () => {
  const waiting = [
    { ...USAGE, costUsd: 0.75 },
    { ...USAGE, costUsd: undefined },
  ]
  const of = (most: { tokens: number; usd: number }) =>
    createModelCaps(
      { allowed: [], ...most },
      { stored: () => ({ ...USAGE, costUsd: 1 }), waiting: (id) => (id === 's' ? waiting : []) },
    )
  expect([301, 300].map((tokens) => of({ tokens, usd: 0 }).hasTokensLeft('s'))).toEqual([
    true,
    false,
  ])
  expect([1.76, 1.75].map((usd) => of({ tokens: 0, usd }).hasMoneyLeft('s'))).toEqual([true, false])
  expect(of({ tokens: 0, usd: 1.01 }).hasMoneyLeft('another')).toBe(true)
})
