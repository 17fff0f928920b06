import { expect, it } from 'vitest'
import { createModelCaps } from './caps.ts'

const USAGE = {
  ...{ requests: 3, inputTokens: 10, outputTokens: 20, cacheReadTokens: 30 },
  ...{ cacheCreationTokens: 40, costUsd: null },
}

it('allows every model without a list, and else those that fit', () => {
  const all = createModelCaps({ allowed: [], tokens: 0 }, () => undefined)
  expect(all.allowsModel('s', 'anything')).toBe(true)
  const some = createModelCaps({ allowed: ['claude-haiku-*', 'm.1'], tokens: 0 }, () => undefined)
  const models = ['claude-haiku-4-5', 'm.1', 'mx1', 'my-claude-haiku-4-5', 'claude-opus-5']
  expect(models.filter((model) => some.allowsModel('s', model))).toEqual([
    'claude-haiku-4-5',
    'm.1',
  ])
})

it('counts every kind of token, and none without a limit', () => {
  const at = (tokens: number) => createModelCaps({ allowed: [], tokens }, () => USAGE)
  expect([101, 100, 0].map((tokens) => at(tokens).hasTokensLeft('s'))).toEqual([true, false, true])
  expect(createModelCaps({ allowed: [], tokens: 1 }, () => undefined).hasTokensLeft('s')).toBe(true)
})
