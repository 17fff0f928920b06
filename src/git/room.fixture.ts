// For conformance suites: gitd's repositories on a socket with a clock of their own, and a door in front of it as the
// gateway has one: whoever reaches its port may clone `<door>/<session id>` and push there; an additional repository of the
// session is `<door>/<session id>/<name>.git`.
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLogger } from '../lib/logger.ts'
import { createId } from '../protocol/ids.ts'
import { NO_GRANTS, type PushGrants } from '../protocol/session.ts'
import { createGitClient, type GitClient, parseGitRequest, proxyGit } from './client.ts'
import { createGitServer } from './control.ts'
import type { PreparedSession, PrepareRequest } from './messages.ts'
import { createRepositories, type Repositories, type RepositoryRules } from './repositories.ts'
import type { Observation } from './serving/observations.ts'
import type { UpstreamCredential } from './upstream/credential.ts'
import {
  createTestUpstream,
  createWorkbench,
  type TestUpstream,
  type Workbench,
} from './upstream/upstream.fixture.ts'
import type { UpstreamNetwork } from './upstream/upstream-access.ts'

interface TestRoom {
  /** A folder of this test, removed at its end. */
  root: string
  dataDir: string
  /** Where gitd listens. */
  socketPath: string
  client: GitClient
  repositories: Repositories
  workbench: Workbench
  /** Moves the clock. */
  pass(ms: number): void
  /** The URL under which an agent reaches a session or upload. */
  door(id: string, access?: DoorAccess): string
  /** Takes the next observations, and acknowledges them. */
  observed(count: number): Promise<Observation[]>
  close(): Promise<void>
}

interface DoorAccess {
  readOnly?: boolean
  credential?: UpstreamCredential
  grants?: PushGrants
  /** Reads this submodule in place of the session's repository. */
  submodule?: string
}

export const PATH = '/usr/local/bin:/usr/bin:/bin'

export function newSessionId(): string {
  return createId('session', randomBytes(20))
}

/** That of a rejection. */
export function reasonOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'nothing',
    (error) => error.reason,
  )
}

interface RoomOptions {
  network?: Partial<UpstreamNetwork>
  maxPushBytes?: number
  /** The real ones unless told. */
  rules?: Partial<RepositoryRules>
}

async function createTestRoom({ network, maxPushBytes, rules }: RoomOptions): Promise<TestRoom> {
  const root = await mkdtemp(join(tmpdir(), 'errand-git-'))
  const dataDir = join(root, 'git data')
  await mkdir(join(root, 'home'))
  await mkdir(dataDir)
  let nowMs = Date.now()
  const repositories = await createRepositories(
    { dataDir, path: PATH, network: { nodePath: process.execPath, ...network }, maxPushBytes },
    { log: createLogger('gitd', 'error'), nowMs: () => nowMs, randomBytes },
    rules,
  )
  const server = createGitServer({ repositories, log: createLogger('gitd', 'error') })
  const socketPath = join(root, 'gitd.sock')
  await new Promise<void>((resolve) => server.listen(socketPath, resolve))
  const client = createGitClient(socketPath)
  const door = await createDoor(socketPath)
  let seen = 0
  return {
    root,
    dataDir,
    socketPath,
    client,
    repositories,
    workbench: createWorkbench(join(root, 'home')),
    pass: (ms) => {
      nowMs += ms
    },
    door: door.url,
    observed: async (count) => {
      const observations: Observation[] = []
      const controller = new AbortController()
      for await (const observation of repositories.observations.follow(seen, controller.signal)) {
        observations.push(observation)
        seen = observation.n
        if (observations.length === count) break
      }
      await client.acknowledgeObservations(seen)
      return observations
    },
    close: async () => {
      door.close()
      server.close()
      server.closeAllConnections()
      await repositories.observations.close()
      await rm(root, { recursive: true, force: true })
    },
  }
}

export interface TestDoor {
  url(id: string, access?: DoorAccess): string
  close(): void
}

/** The access is part of the URL here; the real door knows it from the socket that was called. */
export async function createDoor(socketPath: string): Promise<TestDoor> {
  const accesses: DoorAccess[] = []
  const server = createServer((incoming, outgoing) => {
    const [, number = '', named = '', name = ''] = (incoming.url ?? '').split('/')
    // git-lfs asks at `<address>.git`.
    const id = named.replace(/\.git$/, '')
    const request = parseGitRequest(incoming.method ?? '', incoming.url ?? '')
    if (!request) {
      outgoing.writeHead(404).end()
      return
    }
    const { readOnly, credential, grants = NO_GRANTS, submodule } = accesses[Number(number)] ?? {}
    const own = id.startsWith('u_') ? 'upload' : 'session'
    const kind = submodule === undefined ? own : 'submodule'
    const repository = name.endsWith('.git') ? { repository: name.slice(0, -4) } : {}
    const push = readOnly ? null : grants
    const base = `http://${incoming.headers.host}/${number}/${id}`
    const target = {
      ...request,
      kind,
      id,
      ...repository,
      push,
      credential,
      base,
      submodule,
    } as const
    void proxyGit(incoming, outgoing, { socketPath, target })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: (id, access = {}) => `http://127.0.0.1:${port}/${accesses.push(access) - 1}/${id}`,
    close: () => {
      server.close()
      server.closeAllConnections()
    },
  }
}

/** A room, an upstream, and sessions on it. */
export interface Scene {
  room: TestRoom
  upstream: TestUpstream
  /** Prepares a session on the upstream. */
  prepare(request?: Partial<PrepareRequest>): Promise<PreparedSession & { sessionId: string }>
  /** Prepares a session and clones it as an agent does, with the session's branch checked out. */
  start(options?: {
    request?: Partial<PrepareRequest>
    access?: DoorAccess
  }): Promise<StartedSession>
  close(): Promise<void>
}

export interface StartedSession extends PreparedSession {
  sessionId: string
  clone: string
}

export const BRANCH = 'errand/work'
export const OWNER = 'owner'

export async function createScene(
  options: {
    user?: string
    password?: string
    empty?: boolean
  } & RoomOptions = {},
): Promise<Scene> {
  const room = await createTestRoom(options)
  const { workbench, client } = room
  const upstream = await createTestUpstream(join(room.root, 'upstream'), { ...options, workbench })
  const prepare: Scene['prepare'] = async (request) => {
    const sessionId = newSessionId()
    const source = { kind: 'remote' as const, url: upstream.url }
    const asked = { sessionId, ownerId: OWNER, branch: BRANCH, source, ...request }
    return { ...(await client.prepareSession(asked)), sessionId: asked.sessionId }
  }
  return {
    room,
    upstream,
    prepare,
    start: async ({ request, access } = {}) => {
      const session = await prepare(request)
      const clone = join(room.root, session.sessionId)
      await workbench.git(room.root, [
        'clone',
        '--quiet',
        room.door(session.sessionId, access),
        clone,
      ])
      await workbench.git(clone, [
        'checkout',
        '--quiet',
        '-B',
        request?.branch ?? BRANCH,
        session.commit,
      ])
      return { ...session, clone }
    },
    close: async () => {
      upstream.close()
      await room.close()
    },
  }
}
