// From the messages of Claude Code to the reports of the protocol. Pure; unknown messages say nothing.
import type { SDKMessage } from '@anthropic-ai/claude-agent-sdk/core'
import type { RunnerReport } from '../../protocol/runner-frames.ts'

type AssistantMessage = Extract<SDKMessage, { type: 'assistant' }>
type UserMessage = Extract<SDKMessage, { type: 'user' }>
type SystemMessage = Extract<SDKMessage, { type: 'system' }>
export type ResultMessage = Extract<SDKMessage, { type: 'result' }>
export type ModelError = NonNullable<AssistantMessage['error']>

export type TurnOutcome =
  | { kind: 'completed' }
  | { kind: 'interrupted' }
  | { kind: 'failed'; reason: string; message: string }

/** The reports that one message stands for. */
export function reportsOf(message: SDKMessage, turnId: string): RunnerReport[] {
  switch (message.type) {
    case 'assistant':
      return assistantReports(message, turnId)
    case 'user':
      return resultReports(message, turnId)
    case 'system':
      return noticesOf(message).map((notice) => ({ type: 'agent.notice', turnId, ...notice }))
    default:
      return []
  }
}

/** The live text of a partial message of the main conversation. */
export function deltaOf(message: SDKMessage): string {
  if (message.type !== 'stream_event' || message.parent_tool_use_id !== null) return ''
  const { event } = message
  if (event.type !== 'content_block_delta' || event.delta.type !== 'text_delta') return ''
  return event.delta.text
}

/** How a turn ended. `error` is what the last message of the agent in this turn said was wrong with the model. */
export function outcomeOf(
  result: ResultMessage,
  error: ModelError | undefined,
  wasInterrupted: boolean,
): TurnOutcome {
  const isAborted =
    result.terminal_reason === 'aborted_streaming' || result.terminal_reason === 'aborted_tools'
  if (wasInterrupted && (isAborted || result.subtype !== 'success')) return { kind: 'interrupted' }
  if (!result.is_error && result.subtype === 'success') return { kind: 'completed' }
  const text = result.subtype === 'success' ? result.result : result.errors.join('\n')
  const refusal = doorRefusal(text)
  if (refusal) return { kind: 'failed', ...refusal }
  const status = result.subtype === 'success' ? (result.api_error_status ?? undefined) : undefined
  const reason = failureReason(error, status) ?? 'agent_error'
  const detail = status === undefined || text.includes(String(status)) ? '' : ` (status ${status})`
  return { kind: 'failed', reason, message: (text || 'The agent ended with an error.') + detail }
}

/** In a sandbox Claude Code tries a refused key again and again for minutes: two refusals in a row are believed. */
const BELIEVED_REFUSALS = 2

export function refusalOf(message: SDKMessage): { reason: string; message: string } | undefined {
  if (message.type !== 'system' || message.subtype !== 'api_retry') return undefined
  if (message.error_status !== 401 || message.attempt < BELIEVED_REFUSALS) return undefined
  return { reason: 'model_unauthenticated', message: 'The model API refused the key (401).' }
}

/** What the gateway's model door says when it refuses a request itself. */
const DOOR_REFUSAL = /Errand: (.{1,500}) \(([a-z_]{1,60})\)/

function doorRefusal(text: string): { reason: string; message: string } | undefined {
  const [, message, reason] = DOOR_REFUSAL.exec(text) ?? []
  return message && reason ? { reason, message } : undefined
}

const REASONS: Record<ModelError, string | undefined> = {
  authentication_failed: 'model_unauthenticated',
  oauth_org_not_allowed: 'model_unauthenticated',
  account_on_hold: 'model_unauthenticated',
  verification_required: 'model_unauthenticated',
  cloud_credential_error: 'model_unauthenticated',
  billing_error: 'model_billing',
  rate_limit: 'model_rate_limited',
  overloaded: 'model_overloaded',
  invalid_request: 'model_refused_request',
  model_not_found: 'model_not_found',
  server_error: 'model_failed',
  max_output_tokens: 'model_output_limit',
  unknown: undefined,
}
const STATUS_REASONS: Record<number, string> = {
  400: 'model_refused_request',
  401: 'model_unauthenticated',
  403: 'model_refused_request',
  404: 'model_not_found',
  413: 'model_refused_request',
  429: 'model_rate_limited',
  529: 'model_overloaded',
}

function failureReason(error: ModelError | undefined, status: number | undefined) {
  const byStatus = status === undefined ? undefined : STATUS_REASONS[status]
  const byServer = status !== undefined && status >= 500 ? 'model_failed' : undefined
  return (
    byStatus ?? (error === undefined ? undefined : REASONS[error]) ?? byServer ?? unreachable(error)
  )
}

/** An API error without a status: no answer came at all. */
function unreachable(error: ModelError | undefined): string | undefined {
  return error === undefined ? undefined : 'model_unreachable'
}

function assistantReports(message: AssistantMessage, turnId: string): RunnerReport[] {
  // The text of an API error comes once more with the result, which becomes the turn's failure.
  if (message.error !== undefined) return []
  const { uuid, parent_tool_use_id: parentToolUseId } = message
  return message.message.content.flatMap((block): RunnerReport[] => {
    switch (block.type) {
      case 'text':
        // A subagent's words are its own affair; what it did with tools is shown below the call that started it.
        if (block.text === '' || parentToolUseId !== null) return []
        return [{ type: 'assistant.text', turnId, uuid, text: block.text }]
      case 'thinking':
        if (block.thinking === '' || parentToolUseId !== null) return []
        return [{ type: 'assistant.thinking', turnId, uuid, text: block.thinking }]
      case 'tool_use': {
        const { id: toolUseId, name, input } = block
        return [{ type: 'tool.called', turnId, uuid, toolUseId, name, input, parentToolUseId }]
      }
      default:
        return []
    }
  })
}

function resultReports(message: UserMessage, turnId: string): RunnerReport[] {
  const { content } = message.message
  if (typeof content === 'string') return []
  return content.flatMap((block): RunnerReport[] => {
    if (block.type !== 'tool_result') return []
    return [
      {
        type: 'tool.returned',
        turnId,
        uuid: message.uuid ?? '',
        toolUseId: block.tool_use_id,
        output: textOf(block.content),
        isError: block.is_error === true,
        truncated: false,
      },
    ]
  })
}

/** The text of a tool's result; what is not text is named in brackets. */
function textOf(content: unknown): string {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return ''
  return content
    .map((part: { type: string; text?: string }) => part.text ?? `[${part.type}]`)
    .join('\n')
}

function noticesOf(message: SystemMessage): { kind: string; text: string }[] {
  switch (message.subtype) {
    case 'api_retry': {
      const status = message.error_status === null ? 'no answer' : `status ${message.error_status}`
      const wait = Math.round(message.retry_delay_ms / 100) / 10
      const text = `The model gave ${status} (${message.error}); try ${message.attempt} of ${message.max_retries} in ${wait} s.`
      return [{ kind: 'api_retry', text }]
    }
    case 'compact_boundary': {
      const { trigger, pre_tokens } = message.compact_metadata
      return [
        {
          kind: 'compacted',
          text: `The conversation was summed up (${trigger}, ${pre_tokens} tokens before).`,
        },
      ]
    }
    case 'permission_denied':
      return [{ kind: 'permission_denied', text: `${message.tool_name}: ${message.message}` }]
    case 'informational':
      return message.level === 'info' ? [] : [{ kind: 'informational', text: message.content }]
    case 'local_command_output':
      return [{ kind: 'command_output', text: message.content }]
    default:
      return []
  }
}
