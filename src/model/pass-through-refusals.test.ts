// Requests that the model door does not pass on.
import type { ServerResponse } from 'node:http'
import { afterEach, describe, expect, it } from 'vitest'
import {
  BODY,
  call,
  closeServers,
  MESSAGE,
  openDoor,
  SESSION,
  sendJson,
} from './pass-through.fixture.ts'
import type { ModelDoorOptions } from './pass-through.ts'
import { createMessagesUpstream, readUpstream } from './upstream.ts'

afterEach(closeServers)

describe('what the model door refuses', () => {
  it('refuses what the provider would fetch, and says why', async () => {
    const { url, seen, problems } = await openDoor((_, res) => res.end())
    const source = { type: 'url', url: 'https://evil.example/x.png' }
    const answer = await call(url, {
      ...BODY,
      messages: [{ role: 'user', content: [{ type: 'image', source }] }],
    })
    expect(answer.status).toBe(400)
    expect(answer.headers['x-deny-reason']).toBe('url_source_not_allowed')
    expect(JSON.parse(answer.body)).toMatchObject({
      type: 'error',
      error: { type: 'invalid_request_error', message: expect.stringContaining('evil.example') },
    })
    expect(problems).toMatchObject([
      { sessionId: SESSION, status: 400, reason: 'url_source_not_allowed' },
    ])
    expect(seen).toEqual([])
  })

  it('sends what it has checked, whichever of two equal keys a parser takes', async () => {
    const { url, seen } = await openDoor((_, res) => sendJson(res, MESSAGE))
    const doubled = '{"model":"m","mcp_servers":[{"url":"x"}],"messages":[],"mcp_servers":null}'
    expect(await call(url, doubled)).toMatchObject({ status: 200 })
    expect(seen[0]?.body).toBe('{"model":"m","mcp_servers":null,"messages":[]}')
    const reversed = '{"model":"m","mcp_servers":null,"messages":[],"mcp\\u005fservers":[]}'
    expect(await call(url, reversed)).toMatchObject({ status: 400 })
    expect(seen).toHaveLength(1)
  })

  it('limits how many requests a session has at a time', async () => {
    const waiting: ServerResponse[] = []
    const { url, problems } = await openDoor(
      (_, res) => {
        waiting.push(res)
      },
      { limits: { maxConcurrent: 1 } },
    )
    const first = call(url)
    await expect.poll(() => waiting.length).toBe(1)
    const second = await call(url)
    expect(second).toMatchObject({ status: 429, headers: { 'retry-after': '1' } })
    expect(problems).toMatchObject([{ reason: 'too_many_model_requests' }])
    for (const res of waiting.splice(0)) sendJson(res, MESSAGE)
    expect(await first).toMatchObject({ status: 200 })
    const third = call(url)
    await expect.poll(() => waiting.length).toBe(1)
    for (const res of waiting) sendJson(res, MESSAGE)
    expect(await third).toMatchObject({ status: 200 })
  })

  it('refuses without tokens or money left, without a key, and a model that is not allowed', async () => {
    const reasonOf = async (over: Partial<ModelDoorOptions>) => {
      const { url } = await openDoor((_, res) => sendJson(res, MESSAGE), over)
      return (await call(url)).headers['x-deny-reason']
    }
    const allowsHost = () => false
    expect(await reasonOf({ policy: { allowsHost, hasTokensLeft: async () => false } })).toBe(
      'token_limit_reached',
    )
    expect(await reasonOf({ policy: { allowsHost, hasMoneyLeft: () => false } })).toBe(
      'cost_limit_reached',
    )
    expect(await reasonOf({ policy: { allowsHost, isPriced: () => false } })).toBe(
      'model_price_unknown',
    )
    expect(await reasonOf({ policy: { allowsHost, allowsModel: () => false } })).toBe(
      'model_not_allowed',
    )
    expect(await reasonOf({ upstreamFor: () => readUpstream({ variables: {} }) })).toBe(
      'model_key_missing',
    )
  })

  it('asks only in the form, the region and the project of the installation', async () => {
    const form = { kind: 'vertex', region: 'us-east5', project: 'ours' } as const
    const { url, seen } = await openDoor((_, res) => sendJson(res, MESSAGE), {
      upstreamFor: () => ({ ...createMessagesUpstream({ baseUrl: 'http://127.0.0.1:1' }), form }),
    })
    const reasonOf = async (path: string, body: unknown) =>
      (await call(url, body, { path })).headers['x-deny-reason']
    const { model: _, ...rest } = BODY
    const body = { ...rest, anthropic_version: 'vertex-2023-10-16' }
    const at = (project: string, region: string) =>
      `/model/vertex/projects/${project}/locations/${region}/publishers/anthropic/models/m:rawPredict`
    expect(await reasonOf('/model/v1/messages', BODY)).toBe('model_form_unknown')
    expect(await reasonOf(at('theirs', 'us-east5'), body)).toBe('model_place_not_allowed')
    expect(await reasonOf(at('ours', 'asia-east1'), body)).toBe('model_place_not_allowed')
    expect(await reasonOf(at('ours', 'us-east5'), BODY)).toBe('request_invalid')
    expect(await reasonOf(at('ours', 'us-east5'), { ...body, mcp_servers: [] })).toBe(
      'mcp_servers_not_allowed',
    )
    expect(seen).toEqual([])
  })
})
