// What a session may take of the model, by the installation's settings. Pure: usage is what the gateway has counted, also while
// the database is away and does not take it.
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

type Counts = Omit<Usage, 'requests' | 'costUsd'>

export interface SessionUsage {
  stored(sessionId: string): (Counts & Pick<Usage, 'costUsd'>) | undefined
  /** Of each answer that is not stored yet. */
  waiting(sessionId: string): (Counts & { costUsd: number | undefined })[]
}

export function createModelCaps({ allowed, tokens, usd }: ModelCaps, usage: SessionUsage) {
  const usedBy = (sessionId: string) => [
    usage.stored(sessionId) ?? NOTHING,
    ...usage.waiting(sessionId),
  ]
  const tokensOf = (sessionId: string) =>
    usedBy(sessionId).reduce((sum, one) => sum + totalOf(one), 0)
  const costOf = (sessionId: string) =>
    usedBy(sessionId).reduce((sum, { costUsd: cost }) => sum + (cost ?? 0), 0)
  const patterns = allowed.map(patternOf)
  return {
    allowsModel: (_sessionId: string, model: string) =>
      patterns.length === 0 || patterns.some((pattern) => pattern.test(model)),
    hasTokensLeft: (sessionId: string) => tokens === 0 || tokensOf(sessionId) < tokens,
    /** False for a request whose cost could not be counted, where there is a limit. */
    isPriced: (asked: Record<string, unknown>) => usd === 0 || hasPrice(asked),
    hasMoneyLeft: (sessionId: string) => usd === 0 || costOf(sessionId) < usd,
  }
}

const NOTHING = {
  ...{ inputTokens: 0, outputTokens: 0, cacheReadTokens: 0 },
  ...{ cacheCreationTokens: 0, cacheCreation1hTokens: 0, costUsd: null },
}

function hasPrice(asked: Record<string, unknown>): boolean {
  const isUsual = asked.speed === undefined || asked.speed === null || asked.speed === 'standard'
  return isUsual && modelsOf(asked).every((one) => costUsd(String(one), NOTHING) !== undefined)
}

function patternOf(text: string): RegExp {
  const parts = text.split('*').map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'))
  return new RegExp(`^${parts.join('.*')}$`)
}

function totalOf(used: Counts): number {
  const { inputTokens, outputTokens, cacheReadTokens, cacheCreationTokens } = used
  return inputTokens + outputTokens + cacheReadTokens + cacheCreationTokens
}
