import type { SDKMessage } from '@anthropic-ai/claude-agent-sdk/core'
import { expect, it } from 'vitest'
import { createHookReports } from './hook-reports.ts'

const as = (message: object) => message as SDKMessage
const names = { hook_id: 'h1', hook_name: 'Stop', hook_event: 'Stop' }
const begun = as({ type: 'system', subtype: 'hook_started', ...names })
const ended = as({
  ...{ type: 'system', subtype: 'hook_response', ...names, outcome: 'error', exit_code: 2 },
  output: ' no\n',
})

it('tells the beginning and the end with the time between', () => {
  let now = 5
  const hooks = createHookReports(() => now)
  const hook = { turnId: null, hookId: 'h1' }
  expect(hooks.of(begun, null)).toEqual([
    { type: 'hook.started', ...hook, event: 'Stop', name: 'Stop' },
  ])
  now = 47
  const end = { type: 'hook.ended', ...hook, outcome: 'error', exitCode: 2, output: 'no' }
  expect(hooks.of(ended, null)).toEqual([{ ...end, durationMs: 42 }])
  expect(hooks.of(as({ type: 'assistant' }), null)).toEqual([])
})

it('tells the beginning of one whose beginning was not seen', () => {
  expect(createHookReports().of(ended, null)).toMatchObject([
    { type: 'hook.started' },
    { type: 'hook.ended', durationMs: 0 },
  ])
})

it('keeps one that began before the turn out of it, and one that began in it there', () => {
  const hooks = createHookReports()
  hooks.of(begun, null)
  expect(hooks.of(ended, 't_one')).toMatchObject([{ turnId: null }])
  hooks.of(begun, 't_one')
  expect(hooks.of(ended, 't_two')).toMatchObject([{ turnId: 't_one' }])
})
