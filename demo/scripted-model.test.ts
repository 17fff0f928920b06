import { afterEach, describe, expect, it } from 'vitest'
import type { Scenario } from './scenario.ts'
import {
  createScriptedModel,
  type ScriptedModel,
  type ScriptedModelOptions,
} from './scripted-model.ts'

const scenario: Scenario = {
  name: 'one',
  about: '',
  turns: [
    {
      prompt: 'go',
      steps: [
        {
          think: 'Hm.',
          say: 'I will look, with an ä and a 🙂.',
          use: [{ tool: 'Read', input: { file_path: '/a/long/enough/path' } }],
        },
      ],
    },
  ],
}
const tools = [{ name: 'Read', input_schema: {} }]
const ask = (over: object = {}) => ({
  model: 'claude-opus-5-5',
  max_tokens: 100,
  tools,
  thinking: { type: 'adaptive' },
  messages: [{ role: 'user', content: 'go' }],
  ...over,
})

let model: ScriptedModel | undefined

afterEach(async () => {
  await model?.close()
  model = undefined
})

async function start(over: Partial<ScriptedModelOptions> = {}): Promise<ScriptedModel> {
  model = await createScriptedModel({ scenarios: [scenario], ...over })
  return model
}

function post(
  body: object,
  path = '/v1/messages',
  headers: Record<string, string> = {},
): Promise<Response> {
  return fetch(`${model?.url}${path}`, { method: 'POST', body: JSON.stringify(body), headers })
}

function parseEvents(text: string) {
  return text
    .trim()
    .split('\n\n')
    .map((event) => {
      const [name, data] = event.split('\n')
      const value = JSON.parse(data?.replace('data: ', '') ?? '')
      expect(name).toBe(`event: ${value.type}`)
      return value
    })
}

describe('the scripted model', () => {
  it('streams thinking, text and a tool call in several chunks', async () => {
    const { requests } = await start()
    const events = parseEvents(
      await (await post(ask({ stream: true }), '/v1/messages?beta=true')).text(),
    )
    expect(events[0]).toMatchObject({
      type: 'message_start',
      message: { content: [], stop_reason: null },
    })
    expect(events[1]).toEqual({ type: 'ping' })
    expect(events.at(-2)).toMatchObject({
      type: 'message_delta',
      delta: { stop_reason: 'tool_use' },
      usage: requests[0]?.usage,
    })
    expect(events.at(-1)).toEqual({ type: 'message_stop' })
    const join = (index: number, field: string) =>
      events
        .filter((event) => event.type === 'content_block_delta' && event.index === index)
        .map((event) => event.delta[field] ?? '')
        .join('')
    expect(join(0, 'thinking')).toBe('Hm.')
    expect(join(1, 'text')).toBe('I will look, with an ä and a 🙂.')
    expect(JSON.parse(join(2, 'partial_json'))).toEqual({ file_path: '/a/long/enough/path' })
    expect(requests[0]).toMatchObject({
      scenario: 'one',
      side: false,
      path: '/v1/messages?beta=true',
    })
  })

  it('answers without streaming, counts tokens, greets', async () => {
    await start()
    const message = await (await post(ask())).json()
    expect(message).toMatchObject({
      type: 'message',
      stop_reason: 'tool_use',
      content: { length: 3 },
    })
    const counted = await (await post(ask(), '/v1/messages/count_tokens')).json()
    expect(counted).toEqual({ input_tokens: expect.any(Number) })
    expect((await fetch(`${model?.url}/`, { method: 'HEAD' })).status).toBe(200)
    expect((await post(ask(), '/v1/models')).status).toBe(404)
  })

  it.each([
    [
      'a title',
      {
        output_config: {
          format: { schema: { type: 'object', properties: { title: { type: 'string' } } } },
        },
      },
    ],
    ['a probe', { tools: [], max_tokens: 1 }],
    ['a suggestion', { messages: [{ role: 'user', content: '[SUGGESTION MODE: what next?]' }] }],
  ])('answers %s beside the scenario, without taking a fault', async (_, over) => {
    const { failNext, requests } = await start()
    failNext({ kind: 'status', status: 500 })
    expect((await post(ask(over))).status).toBe(200)
    expect(requests[0]).toMatchObject({ side: true })
    expect((await post(ask())).status).toBe(500)
  })

  it('wants its key', async () => {
    await start({ requireKey: 'k' })
    const refused = await post(ask(), '/v1/messages', { 'x-api-key': 'other' })
    expect(refused.status).toBe(401)
    expect(await refused.json()).toMatchObject({
      type: 'error',
      error: { type: 'authentication_error' },
    })
    expect((await post(ask(), '/v1/messages', { 'x-api-key': 'k' })).status).toBe(200)
    expect((await post(ask(), '/v1/messages', { authorization: 'Bearer k' })).status).toBe(200)
  })

  it('fails on demand', async () => {
    const { failNext, requests } = await start()
    failNext({ kind: 'status', status: 429, retryAfterSeconds: 3 })
    const limited = await post(ask())
    expect([limited.status, limited.headers.get('retry-after')]).toEqual([429, '3'])
    failNext({ kind: 'cut', afterEvents: 4 })
    await expect(post(ask({ stream: true })).then((res) => res.text())).rejects.toThrow()
    failNext({ kind: 'error-event', afterEvents: 2 })
    const events = parseEvents(await (await post(ask({ stream: true }))).text())
    expect(events.at(-1)).toMatchObject({ type: 'error', error: { type: 'overloaded_error' } })
    failNext({ kind: 'hang' })
    const signal = AbortSignal.timeout(50)
    await expect(
      fetch(`${model?.url}/v1/messages`, { method: 'POST', body: JSON.stringify(ask()), signal }),
    ).rejects.toThrow()
    expect(requests.map(({ fault }) => fault?.kind)).toEqual([
      'status',
      'cut',
      'error-event',
      'hang',
    ])
  })

  it('keeps its pace', async () => {
    await start({ paceMs: 5 })
    const before = performance.now()
    const text = await (await post(ask({ stream: true }))).text()
    expect(performance.now() - before).toBeGreaterThan(4 * parseEvents(text).length)
  })
})
