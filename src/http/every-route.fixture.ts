// Each operation of the OpenAPI document and how it is asked for, two people with something of their own, and the app as it is
// without one of its checks: for whoever tries every route.
import type { MiddlewareHandler } from 'hono'
import { environmentFieldsSchema } from '../protocol/environment.ts'
import type { TestDatabase } from '../store/postgres/database.fixture.ts'
import { type Caller, call, createTestApp, signIn, type TestApp } from './app.fixture.ts'
import { createHttpApp } from './app.ts'
import type { HttpDeps } from './deps.ts'
import type { ApiEnv } from './route.ts'

export const PUBLIC = ['GET /health', 'GET /openapi.json', 'GET /docs']
export const OWNER_ONLY = [
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

export interface Operation {
  name: string
  method: string
  template: string
}

/** What belongs to the owner: the secrets of it are OWNED_SECRETS. */
interface Owned {
  session: string
  upload: string
  environment: string
  credential: string
  token: string
}

export const OWNED_SECRETS = ['secret plan', 'hunter2hunter2']

/** The additional repository of the session. */
const LIBRARY = 'lib'

export interface People {
  owner: Caller
  /** A member of the same installation. */
  second: Caller
  owned: Owned
}

export interface EveryRoute {
  test: TestApp
  operations: Operation[]
}

export async function openEveryRoute(database: TestDatabase): Promise<EveryRoute> {
  const test = await createTestApp(database)
  const document = (await (await call(test, '/api/v1/openapi.json')).json()) as {
    paths: Record<string, Record<string, unknown>>
  }
  const operations = Object.entries(document.paths).flatMap(([template, methods]) =>
    Object.keys(methods).map((key) => {
      const method = key.toUpperCase()
      return { name: `${method} ${template}`, method, template }
    }),
  )
  return { test, operations }
}

/** Signed in anew, and with something new of the owner's. */
export async function preparePeople(test: TestApp, n = 0): Promise<People> {
  const { accounts } = test.deps
  const owner = await signIn(test, await accounts.ensureOwner())
  const fields = { name: 'Second', email: `second${n}@example.com`, role: 'member' as const }
  const second = await signIn(test, await accounts.addUser(fields))
  return { owner, second, owned: await createOwned(test, owner) }
}

async function createOwned(test: TestApp, { user }: Caller): Promise<Owned> {
  const { deps } = test
  const { accounts, sessions, owned: stores } = deps
  const { id } = user
  const [prompt = '', secret = ''] = OWNED_SECRETS
  const source = { kind: 'remote' as const, url: 'https://example.com/r.git' }
  const fields = {
    prompt,
    source,
    kind: 'agent',
    mode: 'work',
    baseBranch: null,
    additional: [],
    model: null,
  } satisfies Parameters<typeof sessions.create>[1]
  const host = { ownerId: id, host: 'git.example.com', kind: 'https' as const, username: 'u' }
  const session = await sessions.create({ id, name: 'Ann' }, fields)
  const { repository, changes, outward, pushGrants } = session
  const library = { ...repository, name: LIBRARY, access: 'read' as const }
  const additional = [{ ...library, changes, outward, pushGrants }]
  test.sessions.states.set(session.id, { ...session, additional })
  const environment = environmentFieldsSchema.parse({ name: `of ${session.id}` })
  return {
    session: session.id,
    upload: (await stores.uploads.create(id, { name: 'r' })).id,
    environment: (await stores.environments.create(id, environment)).id,
    credential: (await stores.credentials.create({ ...host, secret })).id,
    token: (await accounts.createToken(id, 'spare')).id,
  }
}

/** The address of something that belongs to the owner. */
export function pathOf({ template }: Operation, { owned, owner }: People): string {
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
    .replace('{repository}', LIBRARY)
    .replace('{turnId}', `t_${'a'.repeat(20)}`)
    .replace('{questionId}', 'q1')
    .replace('{oid}', 'a'.repeat(64))
  const service = template.includes('sessions') ? 'git-upload-pack' : 'git-receive-pack'
  return `/api/v1${path}${path.endsWith('/info/refs') ? `?service=${service}` : ''}`
}

export const bodyOf = ({ name }: Operation): unknown => BODIES[name]

const pass: MiddlewareHandler<ApiEnv> = (_c, next) => next()

/** The app without one of its checks. */
export const WITHOUT = {
  host: ({ deps }) => createHttpApp(deps, { checkHost: () => pass }),
  origin: ({ deps }) => createHttpApp(deps, { checkOrigin: () => pass }),
  /** Anybody is the owner of the installation. */
  authentication: ({ deps }, { owner }) => {
    const authenticate = (): MiddlewareHandler<ApiEnv> => async (c, next) => {
      c.set('user', owner.user)
      await next()
    }
    return createHttpApp(deps, { authenticate })
  },
  owners: ({ deps }, people) => createHttpApp(blindToOwners(deps, people)),
  roles: ({ deps }) => {
    const { accounts } = deps
    const userOfToken: typeof accounts.userOfToken = async (secret) => {
      const user = await accounts.userOfToken(secret)
      return user && { ...user, role: 'owner' }
    }
    return createHttpApp({ ...deps, accounts: { ...accounts, userOfToken } })
  },
} satisfies Record<string, (test: TestApp, people: People) => TestApp['app']>

/** Every lookup of the second owner finds what the first one has. */
function blindToOwners(deps: HttpDeps, { owner, second }: People): HttpDeps {
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
    owned: {
      ...deps.owned,
      environments: blind(deps.owned.environments),
      credentials: blind(deps.owned.credentials),
      uploads: blind(deps.owned.uploads),
    },
  }
}
