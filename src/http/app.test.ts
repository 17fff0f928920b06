// What holds for every route of the API, signing in, and the files of the page.
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sessionPageSchema } from '../protocol/api.ts'
import { unreadableSession } from '../protocol/found-session.ts'
import {
  type Caller,
  call,
  errorOf,
  ORIGIN,
  type OwnersApp,
  openOwnersApp,
  REMOTE,
  type TestApp,
} from './app.fixture.ts'
import { createHttpApp } from './app.ts'

let site: OwnersApp
let test: TestApp
let owner: Caller
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-web-'))
  await mkdir(join(folder, 'web/assets'), { recursive: true })
  await writeFile(join(folder, 'web/index.html'), '<title>Errand</title>')
  await writeFile(join(folder, 'web/assets/main-abc.js'), 'run()')
  await writeFile(join(folder, 'web/.hidden'), 'hidden')
  await writeFile(join(folder, 'secret.txt'), 'outside')
  await symlink(join(folder, 'secret.txt'), join(folder, 'web/link.txt'))
  site = await openOwnersApp(join(folder, 'web'))
  ;({ test, owner } = site)
})
afterAll(async () => {
  await site.close()
  await rm(folder, { recursive: true })
})

const post: OwnersApp['post'] = (path, body) => site.post(path, body)
const newSession = () => site.newSession()

describe('the API', () => {
  it('lists the session that a turn began, and no other', async () => {
    const [{ id }] = [await newSession(), await newSession()]
    const turn = { id: `t_${'b'.repeat(20)}`, kind: 'agent' as const, text: 'do it' }
    const began = { ...turn, submittedAt: '', startedAt: null, interruptRequested: false }
    const state = test.sessions.states.get(id)
    if (state) test.sessions.states.set(id, { ...state, turn: began })
    const listed = async (turnId: string) => {
      const response = await call(test, `/api/v1/sessions?turnId=${turnId}`, { as: owner })
      if (response.status !== 200) return response.status
      const page = (await response.json()) as { sessions: { id: string }[] }
      return page.sessions.map((one) => one.id)
    }
    expect(await listed(turn.id)).toEqual([id])
    expect(await listed(`t_${'c'.repeat(20)}`)).toEqual([])
    expect(await listed('all')).toBe(400)
  })

  it('lists a session whose state cannot be read, says what to do about it, and removes it', async () => {
    const { id } = await newSession()
    const bad = `s_${'x'.repeat(20)}`
    const at = '2026-01-01T00:00:00.000Z'
    const row = { id: bad, ownerId: owner.user.id, isArchived: false, sandboxState: 'ready' }
    const stored = { title: 'Fix it', status: 'dreaming' }
    const times = { createdAt: at, updatedAt: at, lastSeq: 3 }
    test.sessions.unreadable.push(unreadableSession({ ...row, ...times }, stored))
    const path = `/api/v1/sessions/${bad}`
    const list = async () => {
      const response = await call(test, '/api/v1/sessions', { as: owner })
      return sessionPageSchema.parse(await response.json()).sessions
    }
    const listed = await list()
    expect(listed.map((one) => one.id)).toContain(id)
    const shown = listed.find((one) => one.id === bad)
    expect(shown).toMatchObject({ title: 'Fix it', status: 'failed', sandboxState: 'ready' })
    expect(shown?.failure?.message).toContain(`errand rm ${bad}`)
    for (const of of ['', '/diff', '/events', '/events/stream', '/network']) {
      const refused = await call(test, `${path}${of}`, { as: owner })
      expect(refused.status).toBe(501)
      expect(await errorOf(refused)).toMatchObject({ code: 'unsupported', ...shown?.failure })
    }
    expect((await call(test, path, { method: 'DELETE', as: owner })).status).toBe(204)
    expect((await list()).map((one) => one.id)).not.toContain(bad)
  })

  it('names the fields of a body that does not fit', async () => {
    const response = await post('/api/v1/sessions', { prompt: '', source: { kind: 'moon' } })
    expect(response.status).toBe(400)
    const error = await errorOf(response)
    expect(error).toMatchObject({ code: 'invalid', reason: 'invalid_body' })
    expect(error.message).toMatch(/prompt: .*; source/)
  })

  it('refuses a body that is no JSON, of another type, missing or too large', async () => {
    const wrong = { method: 'POST', as: owner } as const
    const path = '/api/v1/sessions'
    expect(await errorOf(await call(test, path, { ...wrong, body: '{' }))).toMatchObject({
      reason: 'invalid_body',
    })
    const form = { 'content-type': 'application/x-www-form-urlencoded' }
    expect((await call(test, path, { ...wrong, body: 'a=b', headers: form })).status).toBe(400)
    expect((await call(test, path, wrong)).status).toBe(400)
    const large = await post(path, { prompt: 'x'.repeat(3_000_000), source: REMOTE })
    expect(large.status).toBe(413)
    expect(await errorOf(large)).toMatchObject({ code: 'too_large', reason: 'body_too_large' })
  })

  it('takes shortened ids that are unique and says when they are not', async () => {
    const first = await newSession()
    await newSession()
    const short = await call(test, `/api/v1/sessions/${first.id.slice(0, 14)}`, { as: owner })
    expect(await short.json()).toMatchObject({ id: first.id, title: 'do it' })
    const both = await call(test, '/api/v1/sessions/s_', { as: owner })
    expect(both.status).toBe(400)
    const known = [...test.sessions.states.keys()]
    const twin = `${known[0]?.slice(0, 21)}${known[0]?.endsWith('a') ? 'b' : 'a'}`
    const state = test.sessions.states.get(known[0] ?? '')
    if (state) test.sessions.states.set(twin, { ...state, id: twin })
    const ambiguous = await call(test, `/api/v1/sessions/${twin.slice(0, 21)}`, { as: owner })
    expect(await errorOf(ambiguous)).toMatchObject({ code: 'conflict', reason: 'ambiguous_id' })
    test.sessions.states.delete(twin)
  })

  it('turns requests into commands', async () => {
    const { id } = await newSession()
    test.sessions.commands.length = 0
    const sent = await post(`/api/v1/sessions/${id}/messages`, { text: 'and now?' })
    expect(sent.status).toBe(202)
    const { turnId } = (await sent.json()) as { turnId: string }
    await call(test, `/api/v1/sessions/${id}/messages/${turnId}`, { method: 'DELETE', as: owner })
    await post(`/api/v1/sessions/${id}/questions/q1`, { allow: true, answers: { a: 'b' } })
    await call(test, `/api/v1/sessions/${id}`, {
      method: 'PATCH',
      as: owner,
      body: { mode: 'plan', model: null },
    })
    for (const name of [
      'interrupt',
      `interrupt?turnId=${turnId}`,
      'stop',
      'archive',
      'unarchive',
      'retry',
      'push',
    ]) {
      expect((await post(`/api/v1/sessions/${id}/${name}`, undefined)).status).toBe(200)
    }
    expect(test.sessions.commands.map(({ command }) => command)).toEqual([
      { type: 'turn.submit', turnId, text: 'and now?', kind: 'agent' },
      { type: 'message.withdraw', turnId },
      {
        type: 'question.answer',
        questionId: 'q1',
        answer: { allow: true, answers: { a: 'b' }, message: '' },
      },
      { type: 'mode.set', mode: 'plan' },
      { type: 'model.set', model: null },
      { type: 'turn.interrupt' },
      { type: 'turn.interrupt', turnId },
      ...[
        'session.stop',
        'session.archive',
        'session.unarchive',
        'session.retry',
        'push.retry',
      ].map((type) => ({ type })),
    ])
  })

  it('answers with JSON where there is nothing, and does not show what broke', async () => {
    const nothing = await call(test, '/api/v1/nothing', { as: owner })
    expect([nothing.status, await errorOf(nothing)]).toEqual([
      404,
      expect.objectContaining({ reason: 'route_not_found' }),
    ])
    const list = async () => Promise.reject(new Error('password=abc'))
    const app = createHttpApp({ ...test.deps, sessions: { ...test.deps.sessions, list } })
    const broken = await call({ app }, '/api/v1/sessions', { as: owner })
    expect(broken.status).toBe(500)
    expect(await broken.text()).not.toContain('password')
  })

  it('carries the protecting headers on every kind of answer', async () => {
    for (const path of [
      '/',
      '/api/v1/health',
      '/api/v1/nothing',
      '/assets/main-abc.js',
      '/api/v1/docs',
    ]) {
      const { headers } = await call(test, path)
      expect(headers.get('content-security-policy')).toMatch(
        /default-src 'none'; script-src 'self';/,
      )
      expect(headers.get('x-content-type-options')).toBe('nosniff')
      expect(headers.get('cross-origin-resource-policy')).toBe('same-origin')
      expect(headers.get('access-control-allow-origin')).toBeNull()
    }
  })
})

describe('login', () => {
  it('turns a link into a cookie once, and not when something only looks ahead', async () => {
    const { url } = await test.deps.accounts.createLoginLink(owner.user.id)
    const path = url.slice(ORIGIN.length)
    await call(test, path, { method: 'HEAD' })
    await call(test, path, { headers: { 'sec-purpose': 'prefetch' } })
    const login = await call(test, path)
    expect([login.status, login.headers.get('location')]).toEqual([303, '/'])
    const cookie = login.headers
      .getSetCookie()
      .map((line) => line.split(';')[0])
      .join('; ')
    const me = await call(test, '/api/v1/me', { headers: { cookie } })
    expect(await me.json()).toEqual(owner.user)
    const again = await call(test, path)
    expect(again.headers.get('location')).toBe('/?login=invalid')
    expect(again.headers.getSetCookie()).toEqual([])
  })

  it('is limited', async () => {
    const statuses = new Set<number>()
    for (let i = 0; i < 25; i++) statuses.add((await call(test, '/login?token=guess')).status)
    expect(statuses).toContain(429)
  })
})

describe('static files', () => {
  it('serves files with type and caching, and the page for its own addresses', async () => {
    const asset = await call(test, '/assets/main-abc.js')
    expect(asset.headers.get('content-type')).toBe('text/javascript; charset=utf-8')
    expect(asset.headers.get('cache-control')).toContain('immutable')
    for (const path of ['/', '/sessions/s_abc', '/index.html']) {
      const page = await call(test, path)
      expect(await page.text()).toBe('<title>Errand</title>')
      expect(page.headers.get('cache-control')).toBe('no-cache')
    }
    expect((await call(test, '/assets/old-def.js')).status).toBe(404)
  })

  it('never leaves its folder', async () => {
    const attacks = [
      ...[
        '/../secret.txt',
        '/%2e%2e/secret.txt',
        '/..%2fsecret.txt',
        '/assets/..%2f..%2fsecret.txt',
      ],
      ...[
        '/link.txt',
        '/.hidden',
        '/%2e%2e%5csecret.txt',
        '/%00',
        '/%ff',
        '//etc/passwd',
        '/%2fetc%2fpasswd',
      ],
    ]
    for (const path of attacks) {
      const text = await (await call(test, path)).text()
      expect(text, path).not.toMatch(/outside|hidden|root:/)
    }
  })
})
