// What a session may take of the model, by the installation's settings. Pure: usage is what the gateway has counted.
// Requests that are under way when tokens or money run out still end, so a session may go over by as many as it has at once.
import type { Usage } from '../protocol/session.ts'
import { costUsd } from './prices.ts'
import { modelsOf } from './request-check.ts'

interface ModelCaps {
  /** Names, with `*` for any part; all when it is empty. */
  allowed: readonly string[]
  /** In and out, cached ones too; 0 for no limit. */
  tokens: number
  /** At list price; 0 for no limit. */
  usd: number
}

export function createModelCaps(
  { allowed, tokens, usd }: ModelCaps,
  usageOf: (sessionId: string) => Usage | undefined,
) {
  const patterns = allowed.map(patternOf)
  return {
    allowsModel: (_sessionId: string, model: string) =>
      patterns.length === 0 || patterns.some((pattern) => pattern.test(model)),
    hasTokensLeft: (sessionId: string) => tokens === 0 || totalOf(usageOf(sessionId)) < tokens,
    /** False for a request whose cost could not be counted, where there is a limit. */
    isPriced: (asked: Record<string, unknown>) => usd === 0 || hasPrice(asked),
    hasMoneyLeft: (sessionId: string) => usd === 0 || (usageOf(sessionId)?.costUsd ?? 0) < usd,
  }
}

const NOTHING = {
  ...{ inputTokens: 0, outputTokens: 0, cacheReadTokens: 0 },
  ...{ cacheCreationTokens: 0, cacheCreation1hTokens: 0 },
}

function hasPrice(asked: Record<string, unknown>): boolean {
  const isUsual = asked.speed === undefined || asked.speed === null || asked.speed === 'standard'
  return isUsual && modelsOf(asked).every((one) => costUsd(String(one), NOTHING) !== undefined)
}

function patternOf(text: string): RegExp {
  const parts = text.split('*').map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'))
  return new RegExp(`^${parts.join('.*')}$`)
}

function totalOf(usage: Usage | undefined): number {
  if (!usage) return 0
  const { inputTokens, outputTokens, cacheReadTokens, cacheCreationTokens } = usage
  return inputTokens + outputTokens + cacheReadTokens + cacheCreationTokens
}
