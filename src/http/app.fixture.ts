// The HTTP app for tests: real accounts, environments and credentials on a real database, sessions kept in memory.
import { randomBytes } from 'node:crypto'
import type { Hono } from 'hono'
import { createSilentLogger } from '../lib/logger.ts'
import type { User } from '../protocol/api.ts'
import { createSessionState } from '../protocol/apply-session.ts'
import { environmentSchema } from '../protocol/environment.ts'
import type { SessionEvent } from '../protocol/event.ts'
import type { UnreadableSession } from '../protocol/found-session.ts'
import { createId } from '../protocol/ids.ts'
import type { SessionState } from '../protocol/session.ts'
import { startTestDatabase, type TestDatabase } from '../store/postgres/database.fixture.ts'
import { createHttpApp } from './app.ts'
import type { GitRequest, HttpDeps, SessionCommand, SessionsApi } from './deps.ts'
import type { ApiEnv } from './route.ts'
import { createAccounts, createAuthSecret } from './sign-in/accounts.ts'
import { createLiveFeed } from './streams/live.ts'

export const HOST = '127.0.0.1:8420'
export const ORIGIN = `http://${HOST}`

export interface TestApp {
  app: Hono<ApiEnv>
  deps: HttpDeps
  sessions: FakeSessions
  gitRequests: Omit<GitRequest, 'incoming' | 'outgoing'>[]
  /** Says that a session has changed; 0: it was removed. */
  notify(sessionId: string, seq: number): void
  /** Says that a session began or ended work, or waits for a slot. */
  notifyLoad(): void
  publishDelta: ReturnType<typeof createLiveFeed>['publishDelta']
}

export async function createTestApp(
  database: TestDatabase,
  webFolder = '/nonexistent',
): Promise<TestApp> {
  const store = await database.openStore()
  const secret = createAuthSecret()
  const accounts = await createAccounts({ pool: store.pool, publicUrl: ORIGIN, secret })
  const sessions = createFakeSessions(store.networkLog)
  const listeners = new Set<(sessionId: string, seq: number) => void>()
  const loadListeners = new Set<() => void>()
  const logger = createSilentLogger()
  const live = createLiveFeed({
    notifications: {
      onSession: (listener) => {
        listeners.add(listener)
        return () => listeners.delete(listener)
      },
      onLoad: (listener) => {
        loadListeners.add(listener)
        return () => loadListeners.delete(listener)
      },
      onNetwork: () => () => undefined,
      onReconnect: () => () => undefined,
    },
    readSession: async (id) => sessions.states.get(id),
    readPlaces: sessions.places,
    logger,
  })
  const uploads = new Map<string, string>()
  const gitRequests: TestApp['gitRequests'] = []
  const deps: HttpDeps = {
    accounts,
    sessions,
    owned: {
      environments: store.environments,
      layers: store.layers,
      credentials: store.credentials,
      uploads: {
        create: async (ownerId) => {
          const id = createId('upload', randomBytes(20))
          uploads.set(id, ownerId)
          return { id }
        },
        has: async (ownerId, id) => uploads.get(id) === ownerId,
      },
    },
    live,
    gitDoor: async ({ incoming, outgoing, ...request }) => {
      gitRequests.push(request)
      incoming.resume()
      outgoing.end('git was here')
    },
    site: {
      hosts: [HOST],
      origins: [ORIGIN],
      webFolder,
      version: '0.0.0-test',
      installation: async () => ({
        ...{ model: 'scripted', isolation: 'none', drivers: ['oci'] },
        standbys: { ready: 0, wanted: 0 },
      }),
      network: store.installationNetwork,
      trusted: async () => ({
        groups: [{ group: 'Code', reason: 'Builds read it.', domains: ['code.example'] }],
        registries: [],
      }),
      logger,
    },
  }
  const notify = (sessionId: string, seq: number) => {
    for (const listener of listeners) listener(sessionId, seq)
  }
  const notifyLoad = () => {
    for (const listener of loadListeners) listener()
  }
  const { publishDelta } = live
  return { app: createHttpApp(deps), deps, sessions, gitRequests, notify, notifyLoad, publishDelta }
}

interface FakeSessions extends SessionsApi {
  states: Map<string, SessionState>
  /** Beside those. */
  unreadable: UnreadableSession[]
  /** Ids in their order. */
  line: string[]
  logs: Map<string, SessionEvent[]>
  commands: { sessionId: string; command: SessionCommand }[]
  append(sessionId: string, text: string): SessionEvent
}

function createFakeSessions(network: SessionsApi['network']): FakeSessions {
  const states = new Map<string, SessionState>()
  const logs = new Map<string, SessionEvent[]>()
  const commands: FakeSessions['commands'] = []
  const line: string[] = []
  const unreadable: UnreadableSession[] = []
  const owned = (ownerId: string) =>
    [...states.values(), ...unreadable].filter((found) => found.ownerId === ownerId)
  return {
    states,
    unreadable,
    logs,
    line,
    commands,
    network,
    places: async () =>
      new Map(line.map((id, index) => [id, { number: index + 1, of: line.length }])),
    append: (sessionId, text) => {
      const log = logs.get(sessionId) ?? []
      const event: SessionEvent = {
        ...{ sessionId, seq: log.length + 1, at: new Date().toISOString(), source: 'system' },
        body: { type: 'agent.notice', turnId: null, kind: 'test', text },
      }
      logs.set(sessionId, [...log, event])
      const state = states.get(sessionId)
      if (state) states.set(sessionId, { ...state, lastSeq: event.seq })
      return event
    },
    create: async ({ id: ownerId }, { prompt, mode }) => {
      const state = makeSession(ownerId, prompt, mode)
      states.set(state.id, state)
      return state
    },
    command: async (sessionId, command) => {
      commands.push({ sessionId, command })
      const state = states.get(sessionId)
      if (!state) throw new Error('no such session')
      return state
    },
    findByPrefix: async (ownerId, prefix) =>
      owned(ownerId).filter(({ id }) => id.startsWith(prefix)),
    list: async (ownerId) => ({ sessions: owned(ownerId), next: null }),
    listBegun: async (ownerId, turnId) => ({
      sessions: [...states.values()].filter(
        (state) => state.ownerId === ownerId && state.turn?.id === turnId,
      ),
      next: null,
    }),
    readEvents: async (sessionId, { afterSeq, limit }) => {
      const rest = (logs.get(sessionId) ?? []).filter(({ seq }) => seq > afterSeq)
      const events = rest.slice(0, limit)
      return { events, through: events.at(-1)?.seq ?? afterSeq, more: rest.length > limit }
    },
    diff: async () => ({
      ...{ base: 'a', head: 'a', files: [], insertions: 0, deletions: 0, commits: [], patch: '' },
      truncated: false,
    }),
    remove: async (sessionId) => {
      states.delete(sessionId)
      const index = unreadable.findIndex(({ id }) => id === sessionId)
      if (index >= 0) unreadable.splice(index, 1)
    },
  }
}

function makeSession(ownerId: string, title: string, mode: SessionState['mode']): SessionState {
  const environment = { id: createId('environment', randomBytes(20)), name: 'Default' }
  return createSessionState({
    ...{ sessionId: createId('session', randomBytes(20)), seq: 1, source: 'user' },
    at: new Date().toISOString(),
    body: {
      ...{ type: 'session.created', ownerId, title, driver: 'oci', mode, model: null },
      environment: environmentSchema.parse(environment),
      repository: {
        source: { kind: 'remote', url: 'https://git.example.com/a.git', credentialId: null },
        ...{ name: 'a', url: 'https://git.example.com/a.git', baseBranch: null, commit: null },
        branch: 'errand/a',
      },
    },
  })
}

export interface Caller {
  user: User
  cookie: string
  bearer: string
}

export async function signIn({ deps }: TestApp, user: User): Promise<Caller> {
  const { accounts } = deps
  const link = await accounts.createLoginLink(user.id)
  const login = await accounts.login(new URL(link.url).searchParams.get('token') ?? '')
  const cookie = (login?.cookies ?? []).map((line) => line.split(';')[0]).join('; ')
  const { secret: bearer } = await accounts.createToken(user.id, 'test')
  return { user, cookie, bearer }
}

/** What most suites begin with: the app on a database of its own, and its owner, signed in. */
export interface OwnersApp {
  test: TestApp
  owner: Caller
  post(path: string, body: unknown): Promise<Response>
  newSession(): Promise<{ id: string; title: string }>
  close(): Promise<void>
}

export const REMOTE = { kind: 'remote', url: 'https://git.example.com/a.git' }

export async function openOwnersApp(webFolder?: string): Promise<OwnersApp> {
  const database = await startTestDatabase()
  const test = await createTestApp(database, webFolder)
  const owner = await signIn(test, await test.deps.accounts.ensureOwner())
  const post: OwnersApp['post'] = async (path, body) =>
    call(test, path, { method: 'POST', as: owner, body })
  return {
    ...{ test, owner, post },
    newSession: async () => {
      const response = await post('/api/v1/sessions', { prompt: 'do it', source: REMOTE })
      return (await response.json()) as { id: string; title: string }
    },
    close: () => database.stop(),
  }
}

export async function errorOf(response: Response) {
  const { error } = (await response.json()) as {
    error: { code: string; reason: string; message: string }
  }
  return error
}

export interface TestRequest {
  method?: string
  host?: string
  origin?: string
  as?: Caller
  by?: 'cookie' | 'bearer'
  body?: unknown
  headers?: Record<string, string>
}

export function call({ app }: Pick<TestApp, 'app'>, path: string, request: TestRequest = {}) {
  const { method = 'GET', host = HOST, origin, as, by = 'bearer', body, headers = {} } = request
  const credential =
    as && (by === 'bearer' ? { authorization: `Bearer ${as.bearer}` } : { cookie: as.cookie })
  return app.request(`http://${HOST}${path}`, {
    method,
    headers: {
      host,
      ...(origin === undefined ? {} : { origin }),
      ...credential,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
}
