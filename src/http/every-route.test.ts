// Each operation of the OpenAPI document, called by everybody who must not: a route that forgets a check fails here.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startTestDatabase, type TestDatabase } from '../store/postgres/database.fixture.ts'
import { type Caller, call, createTestApp, ORIGIN, signIn, type TestApp } from './app.fixture.ts'

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

const send = (operation: Operation, request: Parameters<typeof call>[2]) =>
  call(test, pathOf(operation), {
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
    const skipped = /DELETE|logout|\/git\/|\/stream$/
    for (const operation of operations) {
      if (skipped.test(operation.name)) continue
      const response = await send(operation, { as: owner, by: 'cookie', origin: ORIGIN })
      expect(response.status, `${operation.name} ${await response.clone().text()}`).toBeLessThan(
        300,
      )
    }
  })
})
