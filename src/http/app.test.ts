import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sessionPageSchema } from '../protocol/api.ts'
import { startTestDatabase, type TestDatabase } from '../store/postgres/database.fixture.ts'
import { type Caller, call, createTestApp, ORIGIN, signIn, type TestApp } from './app.fixture.ts'
import { createHttpApp } from './app.ts'
import { listenHttp, probePort } from './listen.ts'

let database: TestDatabase
let test: TestApp
let owner: Caller
let folder: string

beforeAll(async () => {
  database = await startTestDatabase()
  folder = await mkdtemp(join(tmpdir(), 'errand-web-'))
  await mkdir(join(folder, 'web/assets'), { recursive: true })
  await writeFile(join(folder, 'web/index.html'), '<title>Errand</title>')
  await writeFile(join(folder, 'web/assets/main-abc.js'), 'run()')
  await writeFile(join(folder, 'web/.hidden'), 'hidden')
  await writeFile(join(folder, 'secret.txt'), 'outside')
  await symlink(join(folder, 'secret.txt'), join(folder, 'web/link.txt'))
  test = await createTestApp(database, join(folder, 'web'))
  owner = await signIn(test, await test.deps.accounts.ensureOwner())
})
afterAll(async () => {
  await database.stop()
  await rm(folder, { recursive: true })
})

const source = { kind: 'remote', url: 'https://git.example.com/a.git' }
const post = (path: string, body: unknown) => call(test, path, { method: 'POST', as: owner, body })
async function newSession() {
  const response = await post('/api/v1/sessions', { prompt: 'do it', source })
  return (await response.json()) as { id: string; title: string }
}
const errorOf = async (response: Response) =>
  ((await response.json()) as { error: { code: string; reason: string; message: string } }).error

describe('the API', () => {
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
    const large = await post(path, { prompt: 'x'.repeat(3_000_000), source })
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
    for (const name of ['interrupt', 'stop', 'archive', 'unarchive', 'retry', 'push']) {
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
      ...[
        'turn.interrupt',
        'session.stop',
        'session.archive',
        'session.unarchive',
        'session.retry',
        'push.retry',
      ].map((type) => ({ type })),
    ])
  })

  it('changes of an environment what is named and nothing else', async () => {
    const body = { name: 'tools', variables: { A: '1' }, network: { level: 'none' } }
    const made = (await (await post('/api/v1/environments', body)).json()) as { id: string }
    const patch = { method: 'PATCH', as: owner, body: { name: 'tools 2' } }
    const changed = await call(test, `/api/v1/environments/${made.id}`, patch)
    expect(await changed.json()).toMatchObject({
      name: 'tools 2',
      variables: { A: '1' },
      network: { level: 'none' },
    })
  })

  it('takes variables as .env text, names the line that is wrong, and hints at secrets', async () => {
    const variablesText = 'A="1 # 2"\nAPP_PASSWORD=hunter2 # mine\n'
    const response = await post('/api/v1/environments', { name: 'env text', variablesText })
    const made = (await response.json()) as { id: string }
    expect(made).toMatchObject({
      variables: { A: '1 # 2', APP_PASSWORD: 'hunter2' },
      hints: [{ name: 'APP_PASSWORD', why: 'name', host: null }],
    })
    const patch = { method: 'PATCH', as: owner, body: { variablesText: 'A=1\nB' } }
    const refused = await call(test, `/api/v1/environments/${made.id}`, patch)
    expect(await errorOf(refused)).toMatchObject({
      reason: 'variables_invalid',
      message: expect.stringContaining('line 2'),
    })
  })

  it('copies an environment under a free name and chooses what a repository starts with', async () => {
    const body = { name: 'origin', setup: 'npm ci', setupInputs: ['package-lock.json'] }
    const made = (await (await post('/api/v1/environments', body)).json()) as { id: string }
    const copy = () => post(`/api/v1/environments/${made.id}/duplicate`, {})
    expect(await (await copy()).json()).toMatchObject({ ...body, name: 'origin copy' })
    expect(await (await copy()).json()).toMatchObject({ name: 'origin copy 2' })
    const choose = (choice: unknown) =>
      call(test, '/api/v1/environment-defaults', { method: 'PATCH', as: owner, body: choice })
    const repository = 'https://me:secret-token@forge.example/cart.git'
    const chosen = await choose({ repository, environment: made.id })
    expect(await chosen.json()).toMatchObject({
      repositories: [{ repository: 'https://forge.example/cart.git', environment: made.id }],
    })
    const bad = await choose({ repository: 'file:///etc', environment: made.id })
    expect(await errorOf(bad)).toMatchObject({ reason: 'repository_protocol_refused' })
  })

  it('allows what a repository asks to reach in the saved environment as it is now', async () => {
    const { environments } = test.deps.owned
    const made = (await (await post('/api/v1/environments', { name: 'asked' })).json()) as {
      id: string
    }
    const session = await (
      await post('/api/v1/sessions', {
        ...{ prompt: 'x', source: { kind: 'remote', url: 'https://example.com/r.git' } },
      })
    ).json()
    const state = test.sessions.states.get((session as { id: string }).id)
    if (!state) throw new Error('no session')
    const network = { level: 'custom' as const, domains: ['a.example'], includeTrusted: false }
    test.sessions.states.set(state.id, {
      ...state,
      environment: { ...state.environment, id: made.id, variables: { OLD: '1' } },
      environmentFile: {
        image: null,
        ...{ variables: { A: '1' }, setup: '', setupInputs: [], network, notices: [] },
      },
    })
    const allow = (scope: string) => post(`/api/v1/sessions/${state.id}/allow`, { scope })
    await allow('session')
    expect(await environments.get(owner.user.id, made.id)).toMatchObject({
      ...{ network: { level: 'trusted' }, variables: {} },
    })
    await allow('environment')
    expect(await environments.get(owner.user.id, made.id)).toMatchObject({
      ...{ network: { ...network, includeTrusted: true }, variables: {} },
    })
    expect(test.sessions.commands.slice(-2).map(({ command }) => command)).toEqual([
      { type: 'environment.allow', scope: 'session' },
      { type: 'environment.allow', scope: 'environment' },
    ])
    await environments.archive(owner.user.id, made.id)
    expect(await errorOf(await allow('environment'))).toMatchObject({
      reason: 'environment_archived',
    })
  })

  it('allows a host for a session, or in its environment, unless the owner refuses it', async () => {
    const { environments } = test.deps.owned
    const fields = { prompt: 'x', source: { kind: 'remote', url: 'https://example.com/r.git' } }
    const session = (await (await post('/api/v1/sessions', fields)).json()) as { id: string }
    const state = test.sessions.states.get(session.id)
    const made = await (await post('/api/v1/environments', { name: 'one host' })).json()
    const { id } = made as { id: string }
    if (!state) throw new Error('no session')
    test.sessions.states.set(state.id, { ...state, environment: { ...state.environment, id } })
    const allow = (body: unknown) => post(`/api/v1/sessions/${session.id}/allow`, body)
    const host = 'api.example:8443'
    await allow({ scope: 'environment', host })
    expect(test.sessions.commands.at(-1)?.command).toMatchObject({ scope: 'environment', host })
    expect((await environments.get(owner.user.id, id))?.network).toEqual({
      ...{ level: 'custom', domains: [host], includeTrusted: true },
    })
    for (const bad of ['https://a.example/', '*', '*.com', 'a.example:0', 'a.example:65536', '-a'])
      expect((await allow({ scope: 'session', host: bad })).status).toBe(400)
    const change = (as: Caller, body: unknown) =>
      call(test, '/api/v1/installation/network', { method: 'PATCH', as, body })
    const denied = await change(owner, { deny: ['*.evil.example', 'b.example'] })
    expect(await denied.json()).toMatchObject({ allow: [], deny: ['*.evil.example', 'b.example'] })
    for (const name of ['x.evil.example', 'b.example', 'b.example:8443', '*.evil.example'])
      expect(await errorOf(await allow({ scope: 'session', host: name }))).toMatchObject({
        reason: 'denied_by_installation',
      })
    const limited = await change(owner, { deny: [], limits: { bytesPerDay: 1 << 30 } })
    expect(await limited.json()).toEqual({
      ...{ allow: [], deny: [], limits: { connectionsPerSecond: null, bytesPerDay: 1 << 30 } },
    })
    await change(owner, { limits: { bytesPerDay: null } })
  })

  it('shows what trusted stands for, by environment', async () => {
    const get = (query: string) => call(test, `/api/v1/trusted-hosts${query}`, { as: owner })
    expect(await (await get('')).json()).toMatchObject({
      registries: [],
      groups: [{ group: 'Code', domains: ['code.example'] }],
    })
    expect(await errorOf(await get('?environment=none'))).toMatchObject({
      reason: 'environment_not_found',
    })
  })

  it.each(['/etc/passwd', '../up', 'a/../../b', './a', 'a//b', 'a/'])(
    'refuses %s as an input of a setup',
    async (path) => {
      const response = await post('/api/v1/environments', { name: 'bad', setupInputs: [path] })
      expect(response.status).toBe(400)
    },
  )

  it('never shows a secret again', async () => {
    const secret = 'hunter2hunter2'
    const made = await post('/api/v1/credentials', { host: 'git.example.com', secret })
    expect(await made.text()).not.toContain(secret)
    expect(await (await call(test, '/api/v1/credentials', { as: owner })).text()).not.toContain(
      secret,
    )
  })

  it.each([
    ['a path without a start', { host: 'a.example', binding: { paths: ['v1'] } }],
    ['dots in a path', { host: 'a.example', binding: { paths: ['/v1/../'] } }],
    ['every host', { host: '*.example' }],
    ['a kind that needs a header', { host: 'a.example', kind: 'header' }],
    ['the header of the host', { host: 'a.example', kind: 'header', binding: { header: 'Host' } }],
    ['a line end in the secret', { host: 'a.example', secret: 'x\r\nEvil: 1' }],
    ['a variable of the transport', { host: 'a.example', binding: { variable: 'HTTPS_PROXY' } }],
    ['a binding of a git credential', { host: 'a.example', kind: 'https', binding: {} }],
  ])('refuses an API credential with %s', async (_, fields) => {
    const body = { kind: 'bearer', secret: 'hunter2hunter2', ...fields }
    expect((await post('/api/v1/credentials', body)).status).toBe(400)
  })

  it('keeps an API credential for one environment, which has to be there', async () => {
    const fields = { host: 'API.example.com', kind: 'bearer', secret: 'hunter2hunter2' }
    const nowhere = { environmentId: `e_${'b'.repeat(20)}` }
    const refused = await post('/api/v1/credentials', { ...fields, binding: nowhere })
    expect(await errorOf(refused)).toMatchObject({ reason: 'environment_not_found' })
    const { id } = (await (await post('/api/v1/environments', { name: 'bound' })).json()) as {
      id: string
    }
    const made = await post('/api/v1/credentials', { ...fields, binding: { environmentId: id } })
    expect(await made.json()).toMatchObject({
      host: 'api.example.com',
      binding: { environmentId: id, paths: [], allowHttp: false },
    })
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

/** Collects whole frames of a stream until `isEnough`. */
async function readFrames(
  response: Response,
  isEnough: (frames: string[]) => boolean,
): Promise<string[]> {
  const reader = response.body?.getReader()
  const decoder = new TextDecoder()
  let text = ''
  let frames: string[] = []
  while (!isEnough(frames)) {
    const next = await reader?.read()
    if (!next || next.done) break
    text += decoder.decode(next.value, { stream: true })
    frames = text.split('\n\n').slice(0, -1)
  }
  await reader?.cancel()
  return frames
}
const idsOf = (frames: string[]) =>
  frames.flatMap((frame) => /^id: (\d+)/m.exec(frame)?.[1] ?? []).map(Number)

describe('the event stream', () => {
  it('goes from replay to live without a gap or a double', async () => {
    const { id } = await newSession()
    for (let i = 0; i < 450; i++) test.sessions.append(id, `old ${i}`)
    const response = await call(test, `/api/v1/sessions/${id}/events/stream?after=10`, {
      as: owner,
    })
    expect(response.headers.get('content-type')).toBe('text/event-stream')
    const adding = (async () => {
      for (let i = 0; i < 550; i++) {
        test.notify(id, test.sessions.append(id, `new ${i}`).seq)
        if (i % 50 === 0) await new Promise(setImmediate)
      }
    })()
    const frames = await readFrames(response, (all) =>
      all.some((frame) => frame.startsWith('id: 1000\n')),
    )
    await adding
    expect(idsOf(frames)).toEqual(Array.from({ length: 990 }, (_, index) => index + 11))
  })

  it('resumes after Last-Event-ID and shows live text without an id', async () => {
    const { id } = await newSession()
    for (let i = 0; i < 5; i++) test.sessions.append(id, `${i}`)
    const headers = { accept: 'text/event-stream', 'last-event-id': '3' }
    const response = await call(test, `/api/v1/sessions/${id}/events`, { as: owner, headers })
    const turnId = `t_${'a'.repeat(20)}`
    const frames = readFrames(response, (all) => all.some((frame) => frame.includes('delta')))
    await new Promise(setImmediate)
    test.publishDelta(id, { turnId, text: 'typing' })
    expect(idsOf(await frames)).toEqual([4, 5])
    expect((await frames).at(-1)).toBe(
      `event: delta\ndata: ${JSON.stringify({ turnId, text: 'typing' })}`,
    )
  })

  it('shows places in the queue where sessions are shown, and live when they change', async () => {
    const [first, second] = [await newSession(), await newSession()]
    for (const { id } of [first, second]) {
      const state = test.sessions.states.get(id)
      if (state) test.sessions.states.set(id, { ...state, status: 'queued' })
      test.sessions.line.push(id)
    }
    const path = `/api/v1/sessions/${second.id}`
    const shown = await (await call(test, path, { as: owner })).json()
    expect(shown).toMatchObject({ status: 'queued', place: { number: 2, of: 2 } })
    const answer = await call(test, '/api/v1/sessions', { as: owner })
    const list = sessionPageSchema.parse(await answer.json())
    expect(list.sessions.map(({ place }) => place)).toEqual(
      expect.arrayContaining([null, { number: 1, of: 2 }, { number: 2, of: 2 }]),
    )
    const one = { number: 1, of: 1 }
    const has = (all: string[]) => all.some((frame) => frame.includes(JSON.stringify(one)))
    const live = readFrames(await call(test, `${path}/events/stream`, { as: owner }), has)
    const listed = readFrames(await call(test, '/api/v1/sessions/stream', { as: owner }), has)
    await new Promise(setImmediate)
    test.sessions.line.splice(test.sessions.line.indexOf(first.id), 1)
    test.notifyLoad()
    expect((await live).at(-1)).toBe(`event: place\ndata: ${JSON.stringify(one)}`)
    expect((await listed).at(-1)).toContain(second.id)
    test.sessions.line.length = 0
  })

  it('ends when the session is removed', async () => {
    const { id } = await newSession()
    const response = await call(test, `/api/v1/sessions/${id}/events/stream`, { as: owner })
    const text = response.text()
    test.notify(id, 0)
    expect(await text).toContain('retry')
  })

  it('answers with pages of JSON otherwise', async () => {
    const { id } = await newSession()
    for (let i = 0; i < 5; i++) test.sessions.append(id, `${i}`)
    const response = await call(test, `/api/v1/sessions/${id}/events?after=1&limit=2`, {
      as: owner,
    })
    expect(await response.json()).toMatchObject({
      events: [{ seq: 2 }, { seq: 3 }],
      through: 3,
      more: true,
    })
  })

  it('tells an owner of changes in the list, and nobody else', async () => {
    const { accounts } = test.deps
    const other = await signIn(
      test,
      await accounts.addUser({ name: 'List', email: 'list@example.com', role: 'member' }),
    )
    const { id } = await newSession()
    const mine = await call(test, '/api/v1/sessions/stream', { as: owner })
    const theirs = await call(test, '/api/v1/sessions/stream', { as: other })
    const framesOfOther = readFrames(theirs, (all) => all.length >= 3)
    const frames = readFrames(mine, (all) => {
      if (all.some((frame) => frame.startsWith('event: session\n'))) test.notify(id, 0)
      return all.some((frame) => frame.startsWith('event: removed'))
    })
    await new Promise(setImmediate)
    test.notify(id, 2)
    const seen = await frames
    expect(seen[1]).toMatch(/^event: sessions\n/)
    expect(seen.some((frame) => frame.startsWith('event: session\n') && frame.includes(id))).toBe(
      true,
    )
    await test.deps.sessions.create(other.user, {
      ...{
        prompt: 'theirs',
        source: { kind: 'remote', url: 'https://example.com/r' },
        kind: 'agent',
      },
      ...{ mode: 'work', model: null, baseBranch: null, additional: [] },
    })
    const own = [...test.sessions.states.values()].find(({ ownerId }) => ownerId === other.user.id)
    test.notify(own?.id ?? '', 1)
    expect((await framesOfOther).join()).not.toContain(id)
  })
})

describe('on a real port', () => {
  it('passes git on with its raw streams, after the checks', async () => {
    const { id } = await newSession()
    const listening = await listenHttp(test.app, { host: '127.0.0.1', port: 0 })
    const ask = (path: string, authorization?: string) =>
      new Promise<string>((resolve) => {
        const socket = connect(listening.port, '127.0.0.1')
        let text = ''
        socket.on('data', (chunk) => {
          text += chunk
        })
        socket.on('close', () => resolve(text))
        const credential = authorization ? `authorization: ${authorization}\r\n` : ''
        socket.write(
          `GET ${path} HTTP/1.1\r\nhost: 127.0.0.1:8420\r\nconnection: close\r\n${credential}\r\n`,
        )
      })
    const path = `/api/v1/git/sessions/${id}/info/refs?service=`
    expect(await ask(`${path}git-upload-pack`)).toMatch(/^HTTP\/1.1 401/)
    const bearer = `Bearer ${owner.bearer}`
    expect(await ask(`${path}git-receive-pack`, bearer)).toMatch(
      /^HTTP\/1.1 403.*git_service_refused/s,
    )
    test.gitRequests.length = 0
    expect(await ask(`${path}git-upload-pack`, bearer)).toContain('git was here')
    const rest = 'info/refs?service=git-upload-pack'
    const base = `http://127.0.0.1:8420/api/v1/git/sessions/${id}`
    const shared = { target: { kind: 'session', id }, access: 'fetch', base }
    expect(test.gitRequests).toEqual([{ ...shared, rest }])
    const file = `info/lfs/objects/${'a'.repeat(64)}`
    expect(await ask(`/api/v1/git/sessions/${id}/${file}`)).toMatch(/^HTTP\/1.1 401/)
    expect(await ask(`/api/v1/git/sessions/${id}/${file}`, bearer)).toContain('git was here')
    expect(test.gitRequests.at(-1)).toEqual({ ...shared, rest: file })
    const address = { host: '127.0.0.1', port: listening.port }
    const taken = { code: 'conflict', reason: 'port_taken' }
    await expect(listenHttp(test.app, address)).rejects.toMatchObject(taken)
    await expect(probePort(address)).rejects.toMatchObject(taken)
    await listening.close()
    expect(await probePort(address)).toBe(address.port)
  })

  it('lets go of a stream when its client is gone', async () => {
    const { id } = await newSession()
    const gone = Promise.withResolvers<void>()
    const watchSession: typeof test.deps.live.watchSession = (watched, listener) => {
      const unwatch = test.deps.live.watchSession(watched, listener)
      return () => {
        unwatch()
        gone.resolve()
      }
    }
    const live = { ...test.deps.live, watchSession }
    const listening = await listenHttp(createHttpApp({ ...test.deps, live }), {
      ...{ host: '127.0.0.1', port: 0 },
    })
    const socket = connect(listening.port, '127.0.0.1')
    const head = `host: 127.0.0.1:8420\r\nauthorization: Bearer ${owner.bearer}\r\n`
    socket.write(`GET /api/v1/sessions/${id}/events/stream HTTP/1.1\r\n${head}\r\n`)
    await new Promise((resolve) => socket.once('data', resolve))
    socket.destroy()
    await gone.promise
    await listening.close()
  })
})
