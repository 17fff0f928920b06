// Requests that the model door passes on, and answers that it hands back.
import { brotliCompressSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { afterEach, describe, expect, it } from 'vitest'
import {
  BODY,
  call,
  closeServers,
  KEY,
  MESSAGE,
  openDoor,
  SESSION,
  sendJson,
} from './pass-through.fixture.ts'
import { createMessagesUpstream } from './upstream.ts'

afterEach(closeServers)

describe('the model door', () => {
  it('passes a request with its own key and none of the agent', async () => {
    const { url, seen, usage, settled } = await openDoor((_, res) =>
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

  it('counts what the upstream took to shorten a conversation, which is in none of its totals', async () => {
    const model = 'claude-haiku-5-5'
    const message = { type: 'message', input_tokens: 60_000, output_tokens: 5 }
    const compaction = { type: 'compaction', input_tokens: 90_000, output_tokens: 3_000 }
    const usage = { ...message, iterations: [compaction, message] }
    const door = await openDoor((_, res) => sendJson(res, { ...MESSAGE, model, usage }))
    await call(door.url)
    await door.settled()
    const [counted] = door.usage
    expect(counted).toMatchObject({ inputTokens: 150_000, outputTokens: 3_005 })
    // Each is a prompt of its own: none of them is a long one.
    expect(counted?.costUsd).toBeCloseTo((150_000 * 0.1 + 3_005 * 0.5) / 1e6, 10)
  })

  it('answers the greeting and nothing else', async () => {
    const { url, seen } = await openDoor((_, res) => res.end())
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

  it('passes a body of megabytes and refuses one over the cap', async () => {
    const { url, seen } = await openDoor((_, res) => sendJson(res, MESSAGE), {
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
    const { url, usage, problems, settled } = await openDoor((_, res) => {
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
    const { url, problems, usage, settled } = await openDoor((req, res) => {
      const message = `invalid key ${req.headers['x-api-key']}`
      res.writeHead(401).end(JSON.stringify({ error: { message } }))
    })
    const answer = await call(url)
    await settled()
    expect(answer.body).toContain('invalid key [redacted]')
    expect(JSON.stringify([answer, problems, usage])).not.toContain(KEY)
  })

  it.each([
    ['gzip', gzipSync],
    ['br', brotliCompressSync],
    ['zstd', zstdCompressSync],
  ])('passes an error as text that came as %s, without the key in it', async (encoding, encode) => {
    const { url, problems, settled } = await openDoor((req, res) => {
      const message = `no such key: ${req.headers['x-api-key']}`
      const body = encode(JSON.stringify({ error: { message } }))
      res.writeHead(401, { 'content-encoding': encoding }).end(body)
    })
    const answer = await call(url)
    await settled()
    expect(answer).toMatchObject({
      status: 401,
      body: expect.stringContaining('no such key: [redacted]'),
    })
    expect(problems).toMatchObject([
      { message: expect.stringContaining('no such key: [redacted]') },
    ])
  })

  it('answers with nothing what no one could read', async () => {
    const { url } = await openDoor((_, res) => {
      res.writeHead(500, { 'content-encoding': 'br' }).end('no brotli')
    })
    expect(await call(url)).toMatchObject({ status: 500, body: '' })
  })

  it('answers 502 when the upstream cannot be reached or stays silent', async () => {
    const gone = await openDoor((_, res) => res.end(), {
      upstreamFor: () => createMessagesUpstream({ baseUrl: 'http://127.0.0.1:1' }),
    })
    const answer = await call(gone.url)
    expect(answer.status).toBe(502)
    expect(JSON.parse(answer.body)).toMatchObject({ type: 'error', error: { type: 'api_error' } })
    expect(gone.problems).toMatchObject([{ status: 502, reason: 'model_unreachable' }])
    expect(gone.usage).toEqual([])
    const silent = await openDoor(() => undefined, { limits: { idleMs: 50 } })
    expect(await call(silent.url)).toMatchObject({ status: 502 })
  })

  it('refuses an answer that it cannot meter', async () => {
    const { url, problems } = await openDoor((_, res) => {
      res.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(JSON.stringify(MESSAGE)))
    })
    expect(await call(url)).toMatchObject({ status: 502 })
    expect(problems).toMatchObject([{ reason: 'model_unreachable' }])
  })

  it('follows no redirect', async () => {
    const { url, seen } = await openDoor((_, res) => {
      res.writeHead(307, { location: 'http://127.0.0.1:1/' }).end()
    })
    const answer = await call(url)
    expect(answer.status).toBe(307)
    expect(answer.headers).not.toHaveProperty('location')
    expect(seen).toHaveLength(1)
  })

  it('passes count_tokens and counts nothing for it', async () => {
    const { url, seen, usage, problems, settled } = await openDoor((_, res) =>
      sendJson(res, { input_tokens: 9 }),
    )
    const answer = await call(url, BODY, { path: '/model/v1/messages/count_tokens?beta=true' })
    await settled()
    expect(answer).toMatchObject({ status: 200, body: '{"input_tokens":9}' })
    expect(seen[0]?.url).toBe('/v1/messages/count_tokens?beta=true')
    expect([usage, problems]).toEqual([[], []])
  })
})
