// Saved environments through the API, and what sessions may reach by them.
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { AppError } from '../../protocol/errors.ts'
import {
  type Caller,
  call,
  errorOf,
  type OwnersApp,
  openOwnersApp,
  type TestApp,
} from '../app.fixture.ts'

let site: OwnersApp
let test: TestApp
let owner: Caller

beforeAll(async () => {
  site = await openOwnersApp()
  ;({ test, owner } = site)
})
afterAll(() => site.close())

const post: OwnersApp['post'] = (path, body) => site.post(path, body)

describe('environments', () => {
  it('lists what can be read also where the default one cannot', async () => {
    const { environments } = test.deps.owned
    const { ensureDefault } = environments
    onTestFinished(() => void Object.assign(environments, { ensureDefault }))
    const message = 'This version of Errand cannot read the environment'
    environments.ensureDefault = async () => {
      throw new AppError('unsupported', 'environment_unreadable', message)
    }
    expect((await call(test, '/api/v1/environments', { as: owner })).status).toBe(200)
    environments.ensureDefault = async () => {
      throw new AppError('unavailable', 'database_busy', 'later')
    }
    expect((await call(test, '/api/v1/environments', { as: owner })).status).toBe(503)
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

  it('takes no more variables than a sandbox can be told', async () => {
    const most = { A: 'ü'.repeat(16_000), B: 'b'.repeat(24_000) }
    const made = await post('/api/v1/environments', { name: 'large', variables: most })
    const { id } = (await made.json()) as { id: string }
    const more = { ...most, C: 'c'.repeat(16_000) }
    const tooLarge = { reason: 'variables_too_large' }
    expect(
      await errorOf(await post('/api/v1/environments', { name: 'larger', variables: more })),
    ).toMatchObject(tooLarge)
    const patch = { method: 'PATCH', as: owner, body: { variables: more } }
    const refused = await call(test, `/api/v1/environments/${id}`, patch)
    expect(await errorOf(refused)).toMatchObject(tooLarge)
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

  it.each(['/etc/passwd', '../up', 'a/../../b', './a', 'a//b', 'a/'])(
    'refuses %s as an input of a setup',
    async (path) => {
      const response = await post('/api/v1/environments', { name: 'bad', setupInputs: [path] })
      expect(response.status).toBe(400)
    },
  )
})

describe('what sessions may reach', () => {
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

  it('loses nothing of what is allowed in an environment, or changed of it, at once', async () => {
    const { id } = (await (await post('/api/v1/environments', { name: 'busy' })).json()) as {
      id: string
    }
    const fields = { prompt: 'x', source: { kind: 'remote', url: 'https://example.com/r.git' } }
    const session = (await (await post('/api/v1/sessions', fields)).json()) as { id: string }
    const state = test.sessions.states.get(session.id)
    if (!state) throw new Error('no session')
    test.sessions.states.set(state.id, { ...state, environment: { ...state.environment, id } })
    const hosts = ['one.example', 'two.example', 'three.example']
    const patch = { method: 'PATCH', as: owner, body: { setup: 'npm ci' } }
    await Promise.all([
      ...hosts.map((host) =>
        post(`/api/v1/sessions/${session.id}/allow`, { scope: 'environment', host }),
      ),
      call(test, `/api/v1/environments/${id}`, patch),
    ])
    const saved = await test.deps.owned.environments.get(owner.user.id, id)
    expect(saved).toMatchObject({
      setup: 'npm ci',
      network: { level: 'custom', domains: expect.arrayContaining(hosts), includeTrusted: true },
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
})
