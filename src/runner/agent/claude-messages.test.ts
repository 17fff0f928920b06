import type { SDKMessage } from '@anthropic-ai/claude-agent-sdk/core'
import { describe, expect, it } from 'vitest'
import { deltaOf, outcomeOf, type ResultMessage, refusalOf, reportsOf } from './claude-messages.ts'

const turnId = 't_abcdefghijklmnopqrst'
const as = <T extends SDKMessage = SDKMessage>(value: unknown) => value as T
const assistant = (content: unknown[], more: object = {}) =>
  as({ type: 'assistant', uuid: 'u1', parent_tool_use_id: null, message: { content }, ...more })
const result = (more: object) =>
  as<ResultMessage>({
    type: 'result',
    subtype: 'success',
    is_error: false,
    result: 'done',
    ...more,
  })

describe('reportsOf', () => {
  it('maps text, thinking and tool calls with the uuid of their message', () => {
    const blocks = [
      { type: 'thinking', thinking: 'hm' },
      { type: 'thinking', thinking: '' },
      { type: 'text', text: 'Hello' },
      { type: 'tool_use', id: 'tool1', name: 'Bash', input: { command: 'ls' } },
      { type: 'redacted_thinking', data: 'x' },
    ]
    expect(reportsOf(assistant(blocks), turnId)).toEqual([
      { type: 'assistant.thinking', turnId, uuid: 'u1', text: 'hm' },
      { type: 'assistant.text', turnId, uuid: 'u1', text: 'Hello' },
      {
        type: 'tool.called',
        turnId,
        uuid: 'u1',
        toolUseId: 'tool1',
        name: 'Bash',
        input: { command: 'ls' },
        parentToolUseId: null,
      },
    ])
  })

  it('keeps the tools of a subagent below the call that started it, and leaves out its words', () => {
    const blocks = [
      { type: 'text', text: 'inner' },
      { type: 'tool_use', id: 'tool2', name: 'Read', input: {} },
    ]
    const reports = reportsOf(assistant(blocks, { parent_tool_use_id: 'tool1' }), turnId)
    expect(reports).toMatchObject([{ type: 'tool.called', parentToolUseId: 'tool1' }])
  })

  it('maps results: text, blocks, images, errors', () => {
    const content = [
      { type: 'tool_result', tool_use_id: 'a', content: 'plain' },
      {
        type: 'tool_result',
        tool_use_id: 'b',
        is_error: true,
        content: [
          { type: 'text', text: 'two' },
          { type: 'image', source: {} },
        ],
      },
      { type: 'text', text: '[Request interrupted by user]' },
    ]
    const message = as({ type: 'user', uuid: 'u2', message: { content } })
    expect(reportsOf(message, turnId)).toMatchObject([
      { toolUseId: 'a', output: 'plain', isError: false },
      { toolUseId: 'b', output: 'two\n[image]', isError: true },
    ])
  })

  it('says nothing for prompts, replays, API errors and unknown messages', () => {
    const quiet = [
      { type: 'user', message: { content: 'Set model to x' } },
      {
        type: 'assistant',
        error: 'overloaded',
        message: { content: [{ type: 'text', text: 'x' }] },
      },
      { type: 'command_lifecycle' },
      { type: 'system', subtype: 'thinking_tokens' },
      { type: 'system', subtype: 'informational', level: 'info', content: 'x' },
    ]
    expect(quiet.flatMap((message) => reportsOf(as(message), turnId))).toEqual([])
  })

  it('notes retries, compaction and denials', () => {
    const messages = [
      {
        subtype: 'api_retry',
        attempt: 2,
        max_retries: 10,
        retry_delay_ms: 1_540,
        error_status: 529,
        error: 'overloaded',
      },
      { subtype: 'compact_boundary', compact_metadata: { trigger: 'auto', pre_tokens: 9 } },
      { subtype: 'permission_denied', tool_name: 'Bash', message: 'denied' },
    ]
    const notices = messages.flatMap((message) =>
      reportsOf(as({ type: 'system', ...message }), turnId),
    )
    expect(notices).toMatchObject([
      { kind: 'api_retry', text: 'The model gave status 529 (overloaded); try 2 of 10 in 1.5 s.' },
      { kind: 'compacted' },
      { kind: 'permission_denied', text: 'Bash: denied' },
    ])
  })
})

describe('deltaOf', () => {
  const event = { type: 'content_block_delta', delta: { type: 'text_delta', text: 'He' } }
  it('gives the live text of the main conversation only', () => {
    expect(deltaOf(as({ type: 'stream_event', parent_tool_use_id: null, event }))).toBe('He')
    expect(deltaOf(as({ type: 'stream_event', parent_tool_use_id: 'tool1', event }))).toBe('')
    const other = { type: 'content_block_delta', delta: { type: 'thinking_delta', thinking: 'x' } }
    expect(deltaOf(as({ type: 'stream_event', parent_tool_use_id: null, event: other }))).toBe('')
  })
})

describe('refusalOf', () => {
  const retry = { type: 'system', subtype: 'api_retry', error: 'authentication_failed' }
  it('believes a second refusal of the key, and nothing else', () => {
    expect(refusalOf(as({ ...retry, error_status: 401, attempt: 1 }))).toBeUndefined()
    expect(refusalOf(as({ ...retry, error_status: 529, attempt: 5 }))).toBeUndefined()
    expect(refusalOf(as({ ...retry, error_status: 401, attempt: 2 }))).toMatchObject({
      reason: 'model_unauthenticated',
    })
  })
})

describe('outcomeOf', () => {
  it('does not take the subtype success for a success', () => {
    expect(outcomeOf(result({}), undefined, false)).toEqual({ kind: 'completed' })
    const failed = result({ is_error: true, api_error_status: 529, result: 'API Error: 529 x' })
    expect(outcomeOf(failed, 'overloaded', false)).toEqual({
      kind: 'failed',
      reason: 'model_overloaded',
      message: 'API Error: 529 x',
    })
  })

  it.each([
    [401, 'authentication_failed', 'model_unauthenticated'],
    [429, 'rate_limit', 'model_rate_limited'],
    [500, 'server_error', 'model_failed'],
    [503, 'unknown', 'model_failed'],
    [null, 'unknown', 'model_unreachable'],
    [null, 'billing_error', 'model_billing'],
    [null, undefined, 'agent_error'],
  ] as const)('status %s with %s is %s', (status, error, reason) => {
    const failed = result({ is_error: true, api_error_status: status, result: 'words' })
    expect(outcomeOf(failed, error, false)).toMatchObject({ reason })
  })

  it('takes over what the gateway says when it refuses by itself', () => {
    const text = 'API Error: 400 Errand: no key is set: set one (model_key_missing)'
    const failed = result({ is_error: true, api_error_status: 400, result: text })
    expect(outcomeOf(failed, 'invalid_request', false)).toEqual({
      ...{ kind: 'failed', reason: 'model_key_missing', message: 'no key is set: set one' },
    })
  })

  it('is interrupted only when somebody asked for it', () => {
    const aborted = result({
      subtype: 'error_during_execution',
      is_error: true,
      errors: ['why'],
      terminal_reason: 'aborted_tools',
    })
    expect(outcomeOf(aborted, undefined, true)).toEqual({ kind: 'interrupted' })
    expect(outcomeOf(aborted, undefined, false)).toMatchObject({ kind: 'failed', message: 'why' })
  })
})
