// Hooks of the repository as they begin and end, with how long each took. Only what Claude Code says of them: it is what
// runs them, with their limits.
import type { SDKMessage } from '@anthropic-ai/claude-agent-sdk/core'
import type { RunnerReport } from '../../protocol/runner-frames.ts'

const MOST_AT_ONCE = 1_000

export interface HookReports {
  /** What a message says of a hook; empty for every other message. A hook belongs to the turn in which it began, or to none. */
  of(message: SDKMessage, turnId: string | null): RunnerReport[]
}

export function createHookReports(nowMs: () => number = () => performance.now()): HookReports {
  const begun = new Map<string, { atMs: number; turnId: string | null }>()
  return {
    of(message, turnId) {
      if (message.type !== 'system') return []
      if (message.subtype === 'hook_started') {
        const { hook_id: hookId, hook_event: event, hook_name: name } = message
        // One whose end is never told must not be kept for ever.
        if (begun.size >= MOST_AT_ONCE) begun.clear()
        begun.set(hookId, { atMs: nowMs(), turnId })
        return [{ type: 'hook.started', turnId, hookId, event, name }]
      }
      if (message.subtype !== 'hook_response') return []
      const { hook_id: hookId, hook_event: event, hook_name: name, outcome, exit_code } = message
      const known = begun.get(hookId)
      begun.delete(hookId)
      const since = known ?? { atMs: nowMs(), turnId }
      const started: RunnerReport = { type: 'hook.started', turnId, hookId, event, name }
      const ended: RunnerReport = {
        ...{ type: 'hook.ended', turnId: since.turnId, hookId, outcome },
        exitCode: exit_code ?? null,
        durationMs: Math.round(nowMs() - since.atMs),
        output: message.output.trim(),
      }
      return known ? [ended] : [started, ended]
    },
  }
}
