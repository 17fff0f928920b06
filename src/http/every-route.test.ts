// Each operation of the OpenAPI document, called by everybody who must not: a route that forgets a check fails here.

import type { MiddlewareHandler } from 'hono'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startTestDatabase, type TestDatabase } from '../store/postgres/database.fixture.ts'
import { type Caller, call, createTestApp, ORIGIN, signIn, type TestApp } from './app.fixture.ts'
import { createHttpApp } from './app.ts'
import type { HttpDeps } from './deps.ts'
import type { ApiEnv } from './route.ts'

const PUBLIC = ['GET /health', 'GET /openapi.json', 'GET /docs']
const OWNER_ONLY = [
  'GET /users',
  'POST /users',
  'POST /users/{id}/login-link',
  'PATCH /installation/network',
]

const BODIES: Record<string, unknown> = {
  'POST /sessions': { prompt: 'x', source: { kind: 'remote', url: 'https://example.com/r.git' } },
  'POST /sessions/{id}/allow': { scope: 'session' },
  'POST /sessions/{id}/grant': { grant: 'side' },
  'PATCH /sessions/{id}': { title: 'taken over' },
  'POST /sessions/{id}/messages': { text: 'x' },
  'POST /sessions/{id}/questions/{questionId}': { allow: true },
  'POST /environments': { name: 'mine' },
  'PATCH /environments/{id}': { name: 'taken over' },
  'POST /environments/{id}/duplicate': {},
  'PATCH /environment-defaults': { environment: null },
  'POST /credentials': { host: 'example.com', secret: 'x' },
  'POST /uploads': { name: 'x' },
  'PATCH /installation/network': { deny: ['taken.example'] },
  'POST /users': { name: 'x', email: 'x@example.com' },
  'POST /tokens': { name: 'x' },
}

interface Operation {
  name: string
  method: string
  template: string
}

let database: TestDatabase
let test: TestApp
let owner: Caller
let second: Caller
let operations: Operation[]
let owned: {
  session: string
  upload: string
  environment: string
  credential: string
  token: string
}

beforeAll(async () => {
  database = await startTestDatabase()
  test = await createTestApp(database)
  const { accounts, sessions, owned: stores } = test.deps
  owner = await signIn(test, await accounts.ensureOwner())
  second = await signIn(
    test,
    await accounts.addUser({ name: 'Second', email: 'second@example.com', role: 'member' }),
  )
  const { id } = owner.user
  const source = { kind: 'remote' as const, url: 'https://example.com/r.git' }
  const fields = {
    prompt: 'secret plan',
    source,
    kind: 'agent',
    mode: 'work',
    baseBranch: null,
    additional: [],
    model: null,
  } satisfies Parameters<typeof sessions.create>[1]
  owned = {
    session: (await sessions.create({ id, name: 'Ann' }, fields)).id,
    upload: (await stores.uploads.create(id, { name: 'r' })).id,
    environment: (await stores.environments.ensureDefault(id)).id,
    credential: (
      await stores.credentials.create({
        ...{ ownerId: id, host: 'git.example.com', kind: 'https', username: 'u' },
        secret: 'hunter2hunter2',
      })
    ).id,
    token: (await accounts.listTokens(id))[0]?.id ?? '',
  }
  const document = (await (await call(test, '/api/v1/openapi.json')).json()) as {
    paths: Record<string, Record<string, unknown>>
  }
  operations = Object.entries(document.paths).flatMap(([template, methods]) =>
    Object.keys(methods).map((key) => {
      const method = key.toUpperCase()
      return { name: `${method} ${template}`, method, template }
    }),
  )
})
afterAll(() => database.stop())

/** The address of something that belongs to the owner. */
function pathOf({ template }: Operation): string {
  const ids: [RegExp, string][] = [
    [/^\/(git\/)?sessions\//, owned.session],
    [/^\/git\/uploads\//, owned.upload],
    [/^\/environments\//, owned.environment],
    [/^\/credentials\//, owned.credential],
    [/^\/tokens\//, owned.token],
    [/^\/users\//, owner.user.id],
  ]
  const id = ids.find(([pattern]) => pattern.test(template))?.[1] ?? 'unknown'
  const path = template
    .replace('{id}', id)
    .replace('{repository}', 'lib')
    .replace('{turnId}', `t_${'a'.repeat(20)}`)
    .replace('{questionId}', 'q1')
    .replace('{oid}', 'a'.repeat(64))
  const service = template.includes('sessions') ? 'git-upload-pack' : 'git-receive-pack'
  return `/api/v1${path}${path.endsWith('/info/refs') ? `?service=${service}` : ''}`
}

const send = (
  operation: Operation,
  request: Parameters<typeof call>[2],
  at: Pick<TestApp, 'app'> = test,
) =>
  call(at, pathOf(operation), {
    method: operation.method,
    body: BODIES[operation.name],
    ...request,
  })

/** What was answered; of a stream the beginning. */
async function firstText(response: Response): Promise<string> {
  if (!response.headers.get('content-type')?.startsWith('text/event-stream')) return response.text()
  const reader = response.body?.getReader()
  let text = ''
  for (let frames = 0; frames < 2; frames++) {
    text += new TextDecoder().decode((await reader?.read())?.value)
  }
  await reader?.cancel()
  return text
}

/** Names are taken once only. */
function nameOnce(body: unknown, suffix: string): unknown {
  const isNamed = typeof body === 'object' && body !== null && 'name' in body
  return isNamed ? { ...body, name: `${body.name} ${suffix}` } : body
}

/** What a second owner may get: never more than that there is nothing, or what is the second owner's own. */
function refusals({ name, template }: Operation): number[] {
  if (OWNER_ONLY.includes(name)) return [403]
  return template.includes('{') ? [404] : [200, 201]
}

function hiddenWords(operation: Operation): string[] {
  const words = [...Object.values(owned), 'secret plan', 'hunter2hunter2', owner.user.email]
  return words.filter((word) => !pathOf(operation).includes(word))
}

/** What may be asked again and again, and is answered at once. */
const repeatable = () =>
  operations.filter(({ name }) => !/DELETE|logout|\/git\/|\/stream$/.test(name))

/** Every lookup of the second owner finds what the first one has. */
function blindToOwners(deps: HttpDeps): HttpDeps {
  const { findByPrefix } = deps.sessions
  const blind = <T extends object>(api: T): T =>
    new Proxy(api, {
      get: (target, key) => {
        const found: unknown = Reflect.get(target, key)
        if (typeof found !== 'function') return found
        return (...args: unknown[]) =>
          found.apply(
            target,
            args.map((arg) => (arg === second.user.id ? owner.user.id : arg)),
          )
      },
    })
  return {
    ...deps,
    accounts: blind(deps.accounts),
    sessions: {
      ...deps.sessions,
      findByPrefix: async (_owner, prefix) => {
        const found = await findByPrefix(owner.user.id, prefix)
        return found.map((session) => ({ ...session, ownerId: second.user.id }))
      },
    },
    owned: { ...deps.owned, environments: blind(deps.owned.environments) },
  }
}

/** Each of these was refused by the check alone. */
async function expectPast(
  asked: Operation[],
  app: TestApp['app'],
  request: Parameters<typeof call>[2],
): Promise<void> {
  expect(asked).not.toEqual([])
  // One of the routes has archived the one before.
  owned.environment = (await test.deps.owned.environments.ensureDefault(owner.user.id)).id
  for (const operation of asked) {
    const response = await send(operation, request, { app })
    const said = `${operation.name} ${response.status} ${await response.text()}`
    expect([401, 403, 404, 500], said).not.toContain(response.status)
  }
}

const reasonOf = async (response: Response) =>
  ((await response.json()) as { error: { reason: string } }).error.reason

describe('every route', () => {
  it('is in the document', () => {
    expect(operations.length).toBeGreaterThan(35)
    const served = test.app.routes
      .filter(({ method, path }) => method !== 'ALL' && path.startsWith('/api/v1/'))
      .map(({ method, path }) => {
        const template = path.replace('/api/v1', '').replace(/:(\w+)/g, '{$1}')
        return `${method} ${template}`
      })
    expect([...new Set(served)].sort()).toEqual(operations.map(({ name }) => name).sort())
  })

  it('answers nobody but what is public', async () => {
    for (const operation of operations) {
      const response = await send(operation, { origin: ORIGIN })
      const isPublic = PUBLIC.includes(operation.name)
      expect([operation.name, response.status]).toEqual([operation.name, isPublic ? 200 : 401])
    }
  })

  it('answers no other host', async () => {
    for (const operation of operations) {
      for (const host of ['evil.example', '127.0.0.1', '127.0.0.1:8421', 'localhost:8420']) {
        const response = await send(operation, { host, as: owner })
        expect([operation.name, response.status]).toEqual([operation.name, 403])
        expect(await reasonOf(response)).toBe('host_not_allowed')
      }
    }
  })

  it('answers no other page', async () => {
    const origins = [
      'https://evil.example',
      'http://127.0.0.1:8421',
      'https://127.0.0.1:8420',
      'null',
    ]
    for (const operation of operations) {
      for (const origin of origins) {
        const response = await send(operation, { origin, as: owner, by: 'cookie' })
        expect([operation.name, response.status]).toEqual([operation.name, 403])
        expect(await reasonOf(response)).toBe('origin_not_allowed')
      }
    }
  })

  it('changes nothing by cookie without an Origin, nor reads across sites', async () => {
    for (const operation of operations) {
      const headers: Record<string, string> =
        operation.method === 'GET' ? { 'sec-fetch-site': 'same-site' } : {}
      const response = await send(operation, { headers, as: owner, by: 'cookie' })
      expect([operation.name, response.status]).toEqual([operation.name, 403])
    }
  })

  it.each(['cookie', 'bearer'] as const)('hides all from a second owner (%s)', async (by) => {
    for (const operation of operations) {
      if (operation.name === 'POST /logout') continue
      const body = nameOnce(BODIES[operation.name], by)
      const response = await send(operation, { as: second, by, origin: ORIGIN, body })
      const text = await firstText(response)
      expect(refusals(operation), `${operation.name} ${text}`).toContain(response.status)
      for (const word of hiddenWords(operation)) expect(text, operation.name).not.toContain(word)
    }
    expect(test.sessions.commands).toEqual([])
    expect(test.gitRequests).toEqual([])
  })

  it('refuses a second owner what a body names', async () => {
    const sources = [
      { kind: 'upload', uploadId: owned.upload },
      { kind: 'session', sessionId: owned.session },
    ]
    for (const source of sources) {
      const response = await call(test, '/api/v1/sessions', {
        ...{ method: 'POST', as: second, body: { prompt: 'x', source } },
      })
      expect(response.status).toBe(404)
    }
    const image = { kind: 'rootfs', path: '/srv' }
    const body = { name: 'host files', image }
    const response = await call(test, '/api/v1/environments', { method: 'POST', as: second, body })
    expect(response.status).toBe(403)
  })

  it('works for its owner', async () => {
    for (const operation of repeatable()) {
      const response = await send(operation, { as: owner, by: 'cookie', origin: ORIGIN })
      expect(response.status, `${operation.name} ${await response.clone().text()}`).toBeLessThan(
        300,
      )
    }
  })
})

describe('with a check left out, what it refused is answered:', () => {
  const pass: MiddlewareHandler<ApiEnv> = (_c, next) => next()
  const notPublic = () => repeatable().filter(({ name }) => !PUBLIC.includes(name))

  it('another host', async () => {
    const app = createHttpApp(test.deps, { checkHost: () => pass })
    await expectPast(repeatable(), app, { host: 'evil.example', as: owner })
  })

  it('another page, and a change by cookie that names none', async () => {
    const app = createHttpApp(test.deps, { checkOrigin: () => pass })
    const asked = { as: owner, by: 'cookie' as const }
    await expectPast(repeatable(), app, { ...asked, origin: 'https://evil.example' })
    await expectPast(repeatable(), app, { ...asked, headers: { 'sec-fetch-site': 'same-site' } })
  })

  it('nobody', async () => {
    const anybodyIsOwner = (): MiddlewareHandler<ApiEnv> => async (c, next) => {
      c.set('user', owner.user)
      await next()
    }
    const app = createHttpApp(test.deps, { authenticate: anybodyIsOwner })
    await expectPast(notPublic(), app, { origin: ORIGIN })
  })

  it('a second owner', async () => {
    const app = createHttpApp(blindToOwners(test.deps))
    const others = repeatable().filter(
      ({ name, template }) => template.includes('{') && !OWNER_ONLY.includes(name),
    )
    await expectPast(others, app, { as: second })
  })

  it('a member where the owner of the installation is meant', async () => {
    const { accounts } = test.deps
    const userOfToken: typeof accounts.userOfToken = async (secret) => {
      const user = await accounts.userOfToken(secret)
      return user && { ...user, role: 'owner' }
    }
    const app = createHttpApp({ ...test.deps, accounts: { ...accounts, userOfToken } })
    const meant = repeatable().filter(({ name }) => OWNER_ONLY.includes(name))
    await expectPast(meant, app, { as: second })
  })
})
