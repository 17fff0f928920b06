import { describe, expect, it } from 'vitest'
import { readAsked } from './model-body.ts'
import type { ModelTarget } from './model-target.ts'

const BEDROCK: ModelTarget = { form: 'bedrock', asks: 'message', model: 'm', path: '' }
const COUNT: ModelTarget = { ...BEDROCK, asks: 'count' }
const BODY = { anthropic_version: 'bedrock-2023-05-31', max_tokens: 1, messages: [] }
const inBase64 = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64')

describe('readAsked', () => {
  it('leaves the Messages API as it is', () => {
    const target: ModelTarget = { form: 'messages', asks: 'message', path: '' }
    expect(readAsked(target, BODY)).toEqual({ asked: BODY, sent: BODY })
  })

  it('judges an invocation with the model of its path and sends it as it came', () => {
    const body = { ...BODY, anthropic_beta: ['a-1'], tools: [] }
    expect(readAsked(BEDROCK, body)).toEqual({
      asked: { max_tokens: 1, messages: [], tools: [], model: 'm' },
      sent: body,
    })
  })

  it('judges what a count counts, and sends that alone', () => {
    const body = { input: { invokeModel: { body: inBase64(BODY) } } }
    expect(readAsked(COUNT, body)).toEqual({
      asked: { max_tokens: 1, messages: [], model: 'm' },
      sent: body,
    })
  })

  it.each([
    ['no object', 'text'],
    ['no version', { messages: [] }],
    ['a strange version', { ...BODY, anthropic_version: '1' }],
    ['a second model', { ...BODY, model: 'other' }],
    ['betas that are none', { ...BODY, anthropic_beta: 'a' }],
    ['a beta that is none', { ...BODY, anthropic_beta: [{ a: 1 }] }],
  ])('does not take an invocation with %s', (_, body) => {
    expect(readAsked(BEDROCK, body)).toBeUndefined()
  })

  it.each([
    ['the other kind of input', { input: { converse: { messages: [] } } }],
    ['both kinds', { input: { invokeModel: { body: inBase64(BODY) }, converse: {} } }],
    ['no JSON inside', { input: { invokeModel: { body: 'AAAA' } } }],
    ['a model inside', { input: { invokeModel: { body: inBase64({ ...BODY, model: 'x' }) } } }],
  ])('does not take a count with %s', (_, body) => {
    expect(readAsked(COUNT, body)).toBeUndefined()
  })
})
