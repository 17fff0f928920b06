import { once } from 'node:events'
import {
  createServer,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'
import { afterEach, describe, expect, it } from 'vitest'
import {
  createModelDoor,
  type ModelDoorOptions,
  type ModelProblem,
  type ModelUsage,
} from './pass-through.ts'
import { createMessagesUpstream, readUpstream } from './upstream.ts'

const KEY = 'sk-ant-test-0123456789'
const SESSION = 's_aaaaaaaaaaaaaaaaaaaa'
const BODY = {
  model: 'claude-opus-5-5',
  max_tokens: 5,
  messages: [{ role: 'user', content: 'hi' }],
}
const MESSAGE = {
  type: 'message',
  model: 'claude-opus-5-5',
  stop_reason: 'end_turn',
  usage: { input_tokens: 10, output_tokens: 5 },
}
const START = `event: message_start\ndata: ${JSON.stringify({ type: 'message_start', message: MESSAGE })}\n\n`

interface Seen {
  method: string
  url: string
  headers: IncomingMessage['headers']
  body: string
}
type Upstream = (req: IncomingMessage, res: ServerResponse) => void
interface Answer {
  status: number
  headers: IncomingMessage['headers']
  body: string
  cut: boolean
}

const servers: Server[] = []

afterEach(() => {
  for (const server of servers.splice(0)) {
    server.close()
    server.closeAllConnections()
  }
})

async function listen(
  answer: (req: IncomingMessage, res: ServerResponse) => void,
): Promise<string> {
  const server = createServer(answer)
  servers.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function setup(upstream: Upstream, over: Partial<ModelDoorOptions> = {}) {
  const seen: Seen[] = []
  const baseUrl = await listen((req, res) => {
    const chunks: Buffer[] = []
    req.on('data', (chunk) => chunks.push(chunk))
    req.on('end', () => {
      const { method = '', url = '', headers } = req
      seen.push({ method, url, headers, body: Buffer.concat(chunks).toString() })
      upstream(req, res)
    })
  })
  const usage: ModelUsage[] = []
  const problems: ModelProblem[] = []
  const handled: Promise<void>[] = []
  const door = createModelDoor({
    upstreamFor: () => createMessagesUpstream({ baseUrl, key: KEY }),
    policy: { allowsHost: () => false },
    onUsage: (one) => usage.push(one),
    onProblem: (one) => problems.push(one),
    ...over,
  })
  const url = await listen((req, res) => {
    handled.push(door(SESSION, req, res))
  })
  return { url, seen, usage, problems, settled: () => Promise.all(handled) }
}

function call(
  url: string,
  body: unknown = BODY,
  options: { method?: string; path?: string; headers?: Record<string, string> } = {},
): Promise<Answer> {
  const { method = 'POST', path = '/model/v1/messages', headers = {} } = options
  return new Promise((resolve, reject) => {
    const outgoing = request(url + path, { method, headers }, (res) => {
      const chunks: Buffer[] = []
      const finish = (cut: boolean) =>
        resolve({
          status: res.statusCode ?? 0,
          headers: res.headers,
          body: Buffer.concat(chunks).toString(),
          cut,
        })
      res.on('data', (chunk) => chunks.push(chunk))
      res.on('end', () => finish(false))
      res.on('error', () => finish(true))
    })
    outgoing.on('error', reject)
    outgoing.end(
      method === 'POST' ? (typeof body === 'string' ? body : JSON.stringify(body)) : undefined,
    )
  })
}

function sendJson(res: ServerResponse, value: unknown, headers: Record<string, string> = {}): void {
  res.writeHead(200, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value))
}

describe('the model door', () => {
  it('passes a request with its own key and none of the agent', async () => {
    const { url, seen, usage, settled } = await setup((_, res) =>
      sendJson(res, MESSAGE, {
        'request-id': 'req_1',
        'set-cookie': 'a=b',
        'anthropic-organization-id': 'o',
      }),
    )
    const answer = await call(url, BODY, {
      path: '/model/v1/messages?beta=true&x=1',
      headers: {
        'x-api-key': 'placeholder',
        authorization: 'Bearer placeholder',
        cookie: 'c=d',
        'accept-encoding': 'gzip, br',
        'anthropic-version': '2023-06-01',
        'anthropic-beta': 'a,b',
        'x-stainless-os': 'Linux',
        'x-forwarded-for': '1.2.3.4',
      },
    })
    await settled()
    expect(answer).toMatchObject({ status: 200, body: JSON.stringify(MESSAGE) })
    expect(answer.headers).toMatchObject({ 'request-id': 'req_1' })
    expect(Object.keys(answer.headers)).not.toContain('set-cookie')
    expect(Object.keys(answer.headers)).not.toContain('anthropic-organization-id')
    const [sent] = seen
    expect(sent).toMatchObject({
      method: 'POST',
      url: '/v1/messages?beta=true',
      body: JSON.stringify(BODY),
    })
    expect(sent?.headers).toMatchObject({
      'x-api-key': KEY,
      'accept-encoding': 'identity',
      'anthropic-version': '2023-06-01',
      'anthropic-beta': 'a,b',
      'x-stainless-os': 'Linux',
    })
    for (const dropped of ['authorization', 'cookie', 'x-forwarded-for'])
      expect(sent?.headers).not.toHaveProperty(dropped)
    expect(usage).toEqual([
      {
        sessionId: SESSION,
        requestId: expect.stringMatching(/^[0-9a-f-]{36}$/),
        upstreamRequestId: 'req_1',
        model: 'claude-opus-5-5',
        inputTokens: 10,
        outputTokens: 5,
        cacheReadTokens: 0,
        cacheCreationTokens: 0,
        costUsd: (10 * 4 + 5 * 20) / 1e6,
        durationMs: expect.any(Number),
        status: 200,
        stopReason: 'end_turn',
      },
    ])
  })

  it('answers the greeting and nothing else', async () => {
    const { url, seen } = await setup((_, res) => res.end())
    expect(await call(url, '', { method: 'HEAD', path: '/model' })).toMatchObject({
      status: 200,
      body: '',
    })
    expect(await call(url, '', { method: 'GET', path: '/model/' })).toMatchObject({
      status: 200,
      body: '',
    })
    const paths = [
      '/model/v1/models',
      '/model/v1/files',
      '/model/v1/messages/batches',
      '/model/v1/../v1/x',
    ]
    for (const path of [...paths, '/model//v1/messages', '/model/constructor']) {
      const answer = await call(url, BODY, { path })
      expect(answer.status).toBe(404)
      expect(JSON.parse(answer.body)).toMatchObject({
        type: 'error',
        error: { type: 'not_found_error' },
      })
    }
    expect(await call(url, BODY, { path: '//' })).toMatchObject({ status: 404 })
    expect(await call(url, '', { method: 'GET', path: '/model/v1/messages' })).toMatchObject({
      status: 404,
    })
    expect(seen).toEqual([])
  })

  it('refuses what the provider would fetch, and says why', async () => {
    const { url, seen, problems } = await setup((_, res) => res.end())
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
    const { url, seen } = await setup((_, res) => sendJson(res, MESSAGE))
    const doubled = '{"model":"m","mcp_servers":[{"url":"x"}],"messages":[],"mcp_servers":null}'
    expect(await call(url, doubled)).toMatchObject({ status: 200 })
    expect(seen[0]?.body).toBe('{"model":"m","mcp_servers":null,"messages":[]}')
    const reversed = '{"model":"m","mcp_servers":null,"messages":[],"mcp\\u005fservers":[]}'
    expect(await call(url, reversed)).toMatchObject({ status: 400 })
    expect(seen).toHaveLength(1)
  })

  it('passes a body of megabytes and refuses one over the cap', async () => {
    const { url, seen } = await setup((_, res) => sendJson(res, MESSAGE), {
      limits: { maxBodyBytes: 4 << 20 },
    })
    const big = (size: number) => ({
      ...BODY,
      messages: [{ role: 'user', content: 'x'.repeat(size) }],
    })
    expect(await call(url, big(3 << 20))).toMatchObject({ status: 200 })
    expect(seen[0]?.body.length).toBeGreaterThan(3 << 20)
    const refused = await call(url, big(5 << 20))
    expect(refused.status).toBe(413)
    expect(JSON.parse(refused.body)).toMatchObject({ error: { type: 'request_too_large' } })
  })

  it.each([
    [401, 'model_unauthenticated', {}],
    [
      429,
      'model_rate_limited',
      { 'retry-after': '7', 'anthropic-ratelimit-requests-remaining': '0' },
    ],
    [529, 'model_overloaded', { 'x-should-retry': 'true' }],
    [500, 'model_failed', {}],
    [400, 'model_request_invalid', {}],
  ])('passes %i unchanged and reports %s', async (status, reason, headers) => {
    const body = JSON.stringify({
      type: 'error',
      error: { type: 'some_error', message: 'because' },
    })
    const { url, usage, problems, settled } = await setup((_, res) => {
      res.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body)
    })
    const answer = await call(url)
    await settled()
    expect(answer).toMatchObject({ status, body, headers })
    expect(problems).toMatchObject([
      { status, reason, message: expect.stringContaining('because') },
    ])
    expect(usage).toMatchObject([{ status, inputTokens: 0, costUsd: 0 }])
  })

  it('never shows the key, even when the upstream repeats it', async () => {
    const { url, problems, usage, settled } = await setup((req, res) => {
      const message = `invalid key ${req.headers['x-api-key']}`
      res.writeHead(401).end(JSON.stringify({ error: { message } }))
    })
    const answer = await call(url)
    await settled()
    expect(answer.body).toContain('invalid key [redacted]')
    expect(JSON.stringify([answer, problems, usage])).not.toContain(KEY)
  })

  it('hands a cut stream on as a cut and counts what was seen', async () => {
    const { url, usage, problems, settled } = await setup((_, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.write(START, () => res.destroy())
    })
    const answer = await call(url)
    await settled()
    expect(answer).toMatchObject({ status: 200, body: START, cut: true })
    expect(problems).toMatchObject([{ status: 200, reason: 'model_stream_cut' }])
    expect(usage).toMatchObject([{ status: 200, inputTokens: 10, outputTokens: 5 }])
  })

  it('reports a stream that ends too early and one that ends in an error', async () => {
    const error = { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } }
    const tails = ['', `event: error\ndata: ${JSON.stringify(error)}\n\n`]
    const { url, problems, settled } = await setup((_, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' }).end(START + tails.shift())
    })
    expect(await call(url)).toMatchObject({ cut: false })
    expect(await call(url)).toMatchObject({ cut: false })
    await settled()
    expect(problems.map(({ reason }) => reason)).toEqual(['model_stream_cut', 'model_overloaded'])
  })

  it('says what was used before the agent gets to know it', async () => {
    const told: string[] = []
    const { url } = await setup(
      (_, res) => {
        res.writeHead(200, { 'content-type': 'text/event-stream' })
        res.write(START)
      },
      { onProgress: ({ inputTokens, status }) => told.push(`${status} ${inputTokens}`) },
    )
    const outgoing = request(`${url}/model/v1/messages`, { method: 'POST' })
    outgoing.end(JSON.stringify(BODY))
    const [res] = (await once(outgoing, 'response')) as [IncomingMessage]
    await once(res, 'data')
    expect(told).toEqual(['200 10'])
    res.destroy()
  })

  it('streams: the first byte arrives before the answer ends', async () => {
    let finish: () => void = () => undefined
    const { url } = await setup((_, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.write(START)
      finish = () => res.end()
    })
    const outgoing = request(`${url}/model/v1/messages`, { method: 'POST' }).end(
      JSON.stringify(BODY),
    )
    const [res] = (await once(outgoing, 'response')) as [IncomingMessage]
    const [chunk] = await once(res, 'data')
    expect(String(chunk)).toBe(START)
    finish()
    await once(res, 'end')
  })

  it('cancels the upstream when the agent leaves, and counts what was seen', async () => {
    let left: Promise<unknown> = Promise.resolve()
    const { url, usage, problems, settled } = await setup((_, res) => {
      left = once(res, 'close')
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.write(START)
    })
    const outgoing = request(`${url}/model/v1/messages`, { method: 'POST' }).end(
      JSON.stringify(BODY),
    )
    outgoing.on('error', () => undefined)
    const [res] = (await once(outgoing, 'response')) as [IncomingMessage]
    res.on('error', () => undefined)
    await once(res, 'data')
    outgoing.destroy()
    await left
    await settled()
    expect(usage).toMatchObject([{ inputTokens: 10, outputTokens: 5 }])
    expect(problems).toEqual([])
  })

  it('answers 502 when the upstream cannot be reached or stays silent', async () => {
    const gone = await setup((_, res) => res.end(), {
      upstreamFor: () => createMessagesUpstream({ baseUrl: 'http://127.0.0.1:1' }),
    })
    const answer = await call(gone.url)
    expect(answer.status).toBe(502)
    expect(JSON.parse(answer.body)).toMatchObject({ type: 'error', error: { type: 'api_error' } })
    expect(gone.problems).toMatchObject([{ status: 502, reason: 'model_unreachable' }])
    expect(gone.usage).toEqual([])
    const silent = await setup(() => undefined, { limits: { idleMs: 50 } })
    expect(await call(silent.url)).toMatchObject({ status: 502 })
  })

  it('refuses an answer that it cannot meter', async () => {
    const { url, problems } = await setup((_, res) => {
      res.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(JSON.stringify(MESSAGE)))
    })
    expect(await call(url)).toMatchObject({ status: 502 })
    expect(problems).toMatchObject([{ reason: 'model_unreachable' }])
  })

  it('follows no redirect', async () => {
    const { url, seen } = await setup((_, res) => {
      res.writeHead(307, { location: 'http://127.0.0.1:1/' }).end()
    })
    const answer = await call(url)
    expect(answer.status).toBe(307)
    expect(answer.headers).not.toHaveProperty('location')
    expect(seen).toHaveLength(1)
  })

  it('limits how many requests a session has at a time', async () => {
    const waiting: ServerResponse[] = []
    const { url, problems } = await setup(
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

  it('refuses without tokens left, without a key, and a model that is not allowed', async () => {
    const reasonOf = async (over: Partial<ModelDoorOptions>) => {
      const { url } = await setup((_, res) => sendJson(res, MESSAGE), over)
      return (await call(url)).headers['x-deny-reason']
    }
    const allowsHost = () => false
    expect(await reasonOf({ policy: { allowsHost, hasTokensLeft: async () => false } })).toBe(
      'token_limit_reached',
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
    const { url, seen } = await setup((_, res) => sendJson(res, MESSAGE), {
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

  it('passes count_tokens and counts nothing for it', async () => {
    const { url, seen, usage, problems, settled } = await setup((_, res) =>
      sendJson(res, { input_tokens: 9 }),
    )
    const answer = await call(url, BODY, { path: '/model/v1/messages/count_tokens?beta=true' })
    await settled()
    expect(answer).toMatchObject({ status: 200, body: '{"input_tokens":9}' })
    expect(seen[0]?.url).toBe('/v1/messages/count_tokens?beta=true')
    expect([usage, problems]).toEqual([[], []])
  })
})
