// What a session may take of the model, by the installation's settings. Pure: usage is what the gateway has counted.
// Requests that are under way when the tokens run out still end, so a session may go over by as many as it has at once.
import type { Usage } from '../protocol/session.ts'

interface ModelCaps {
  /** Names, with `*` for any part; all when it is empty. */
  allowed: readonly string[]
  /** In and out, cached ones too; 0 for no limit. */
  tokens: number
}

export function createModelCaps(
  { allowed, tokens }: ModelCaps,
  usageOf: (sessionId: string) => Usage | undefined,
) {
  const patterns = allowed.map(patternOf)
  return {
    allowsModel: (_sessionId: string, model: string) =>
      patterns.length === 0 || patterns.some((pattern) => pattern.test(model)),
    hasTokensLeft: (sessionId: string) => tokens === 0 || totalOf(usageOf(sessionId)) < tokens,
  }
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
