// Each operation of the OpenAPI document, called by everybody who must not: a route that forgets a check fails here.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startTestDatabase, type TestDatabase } from '../store/postgres/database.fixture.ts'
import { type Caller, call, ORIGIN, type TestApp } from './app.fixture.ts'
import {
  bodyOf,
  type Operation,
  OWNED_SECRETS,
  OWNER_ONLY,
  openEveryRoute,
  type People,
  PUBLIC,
  pathOf,
  preparePeople,
  WITHOUT,
} from './every-route.fixture.ts'

let database: TestDatabase
let test: TestApp
let people: People
let owner: Caller
let second: Caller
let operations: Operation[]

beforeAll(async () => {
  database = await startTestDatabase()
  ;({ test, operations } = await openEveryRoute(database))
  people = await preparePeople(test)
  ;({ owner, second } = people)
})
afterAll(() => database.stop())

const send = (
  operation: Operation,
  request: Parameters<typeof call>[2],
  at: Pick<TestApp, 'app'> = test,
) =>
  call(at, pathOf(operation, people), {
    method: operation.method,
    body: bodyOf(operation),
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

/** That body with a NUL in one of its texts, for each of them, and the name of that one. */
function withNul(body: unknown): [string, unknown][] {
  if (typeof body === 'string') return [['', `a\0${body}`]]
  if (typeof body !== 'object' || body === null) return []
  return Object.entries(body).flatMap(([key, value]) =>
    withNul(value).map(([inner, changed]): [string, unknown] => [
      inner === '' ? key : `${key}.${inner}`,
      Array.isArray(body) ? body.with(Number(key), changed) : { ...body, [key]: changed },
    ]),
  )
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
  const words = [...Object.values(people.owned), ...OWNED_SECRETS, owner.user.email]
  return words.filter((word) => !pathOf(operation, people).includes(word))
}

/** What may be asked again and again, and is answered at once. */
const repeatable = () =>
  operations.filter(({ name }) => !/DELETE|logout|\/git\/|\/stream$/.test(name))

/** Each of these was refused by the check alone. */
async function expectPast(
  asked: Operation[],
  app: TestApp['app'],
  request: Parameters<typeof call>[2],
): Promise<void> {
  expect(asked).not.toEqual([])
  // One of the routes has archived the one before.
  people.owned.environment = (await test.deps.owned.environments.ensureDefault(owner.user.id)).id
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

  it('refuses a NUL in whatever text it takes, which no table and no program takes', async () => {
    const refused: string[] = []
    for (const operation of operations) {
      for (const [field, body] of withNul(bodyOf(operation))) {
        const response = await send(operation, { as: owner, body })
        const { error } = (await response.json()) as { error: { reason: string; message: string } }
        expect([operation.name, field, response.status]).toEqual([operation.name, field, 400])
        expect(error.message).toContain(field)
        refused.push(error.reason)
      }
    }
    expect(refused.length).toBeGreaterThan(15)
    const body = { name: 'variables', variables: { LEFT: 'a\0b' } }
    const made = await call(test, '/api/v1/environments', { method: 'POST', as: owner, body })
    expect([made.status, await reasonOf(made)]).toEqual([400, 'invalid_body'])
    for (const path of [
      '/users/%00/login-link',
      '/tokens/%00',
      '/trusted-hosts?environment=a%00',
    ]) {
      const method = path.startsWith('/users')
        ? 'POST'
        : path.startsWith('/tokens')
          ? 'DELETE'
          : 'GET'
      const response = await call(test, `/api/v1${path}`, { method, as: owner })
      expect([path, response.status]).toEqual([path, 400])
    }
    expect((await call(test, '/login?token=a%00b')).status).toBe(303)
  })

  it('takes no name with a control character in it', async () => {
    const named = operations.filter((operation) =>
      /"(?:name|title)"/.test(JSON.stringify(bodyOf(operation) ?? '')),
    )
    expect(named.length).toBeGreaterThan(4)
    for (const operation of named.filter(({ name }) => name !== 'POST /uploads')) {
      const body = JSON.parse(JSON.stringify(bodyOf(operation)), (key, value) =>
        key === 'name' || key === 'title' ? 'two\nlines' : value,
      )
      const response = await send(operation, { as: owner, body })
      expect([operation.name, response.status]).toEqual([operation.name, 400])
    }
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

  it('says at another address how that one is made known', async () => {
    const response = await test.app.request('/', { headers: { host: 'localhost:8420' } })
    expect(await response.text()).toContain('ERRAND_PUBLIC_URL')
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
      const body = nameOnce(bodyOf(operation), by)
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
      { kind: 'upload', uploadId: people.owned.upload },
      { kind: 'session', sessionId: people.owned.session },
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
  const notPublic = () => repeatable().filter(({ name }) => !PUBLIC.includes(name))

  it('another host', async () => {
    await expectPast(repeatable(), WITHOUT.host(test), { host: 'evil.example', as: owner })
  })

  it('another page, and a change by cookie that names none', async () => {
    const app = WITHOUT.origin(test)
    const asked = { as: owner, by: 'cookie' as const }
    await expectPast(repeatable(), app, { ...asked, origin: 'https://evil.example' })
    await expectPast(repeatable(), app, { ...asked, headers: { 'sec-fetch-site': 'same-site' } })
  })

  it('nobody', async () => {
    await expectPast(notPublic(), WITHOUT.authentication(test, people), { origin: ORIGIN })
  })

  it('a second owner', async () => {
    const others = repeatable().filter(
      ({ name, template }) => template.includes('{') && !OWNER_ONLY.includes(name),
    )
    await expectPast(others, WITHOUT.owners(test, people), { as: second })
  })

  it('a member where the owner of the installation is meant', async () => {
    const meant = repeatable().filter(({ name }) => OWNER_ONLY.includes(name))
    await expectPast(meant, WITHOUT.roles(test), { as: second })
  })
})
