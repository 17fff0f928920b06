import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, IncomingMessage, type Server, ServerResponse } from 'node:http'
import { type AddressInfo, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { decodeGrants, PUSH_HEADER } from '../git/messages.ts'
import { doorUrl, rewrittenSubmoduleUrl, rewrittenUrl } from '../protocol/git-door.ts'
import {
  type AdditionalState,
  NO_GRANTS,
  type Repository,
  type SessionState,
} from '../protocol/session.ts'
import { createGitRoute, type GitDoorDeps } from './git-door.ts'

const SESSION = 's_abcdefghijklmnopqrst'
const additional = { name: 'my.github', url: 'git@forge.example:team/my.git', access: 'read' }
const STATE = {
  ...{
    id: SESSION,
    ownerId: 'ann',
    repository: { url: 'http://plain.example/team/shop' } as Repository,
  },
  additional: [additional as AdditionalState],
} as SessionState

/** What the client is told, at a door whose gitd is never reached. */
async function ask(path: string, method = 'GET', change: Partial<GitDoorDeps> = {}) {
  const request = Object.assign(new IncomingMessage(new Socket()), { method, url: path })
  const response = new ServerResponse(request)
  let said = ''
  response.end = ((text?: string | Buffer) => {
    said += text ?? ''
    return response
  }) as typeof response.end
  const asked: string[] = []
  const route = createGitRoute('/nonexistent', {
    store: {
      credentials: {} as GitDoorDeps['store']['credentials'],
      sessions: { get: async () => STATE },
    },
    watch: { get: (id) => (id === SESSION ? { state: STATE } : undefined) },
    builds: { readsFrom: (id) => (id === 'layer' ? SESSION : undefined) },
    submodules: {
      named: async (_state, url) => {
        asked.push(url)
        return undefined
      },
    },
    ...change,
  })
  await route({ sessionId: SESSION, request, response, path })
  return { said, asked }
}

const refs = '/info/refs?service=git-upload-pack'
const own = new URL(rewrittenUrl()).pathname
const further = new URL(rewrittenUrl('my.github')).pathname

describe('the git door', () => {
  it('refuses what only begins like an ssh repository by its own name', async () => {
    const { said } = await ask(`${further}-old${refs}`)
    expect(said).toContain(
      'ERR errand: git@forge.example:team/my-old is no repository of this session',
    )
    const push = await ask(`${further}/x/info/refs?service=git-receive-pack`)
    expect(push.said).toContain('git@forge.example:team/my/x is no repository')
  })

  it('asks who may read a submodule by its whole address, and lets it go where nobody may', async () => {
    const at = (url: string) => new URL(rewrittenSubmoduleUrl(url)).pathname
    const lib = await ask(`${at('git@forge.example:team/lib.git')}.git${refs}`)
    expect(lib.asked).toEqual(['git@forge.example:team/lib.git'])
    expect(lib.said).toContain('git@forge.example:team/lib.git is no repository')
    const beyond = await ask(`${at('git@forge.example:team/ä.git')}-old${refs}`)
    expect(beyond.asked).toEqual([])
    expect(beyond.said).toContain('git@forge.example:team/?-old is no repository')
  })

  it('knows nothing else', async () => {
    const lfs = `${own}-old/info/lfs/objects/batch`
    for (const [path, method] of [
      ...[
        ['/git/other.git/info/refs?service=git-upload-pack', 'GET'],
        [lfs, 'POST'],
      ],
      ...[
        [`${own}-old/git-upload-pack`, 'POST'],
        [`/git/submodule/zz/lib.git${refs}`, 'GET'],
        [`/git/submodule/6162/other.git${refs}`, 'GET'],
        [`${new URL(doorUrl()).pathname}-old${refs}`, 'GET'],
      ],
    ])
      await expect(ask(path ?? '', method)).rejects.toMatchObject({
        reason: 'repository_not_found',
      })
  })

  it('lets what becomes a layer read no submodule', async () => {
    const watch = { get: () => undefined }
    const builds = { readsFrom: () => SESSION }
    const path = new URL(rewrittenSubmoduleUrl('git@forge.example:team/lib')).pathname
    const { asked, said } = await ask(`${path}${refs}`, 'GET', { watch, builds })
    expect(asked).toEqual([])
    expect(said).toContain('is no repository')
  })
})

describe('what a push may do', () => {
  let folder: string
  let servers: Server[]
  let address: string
  /** What gitd was asked, and with which grants. */
  let asked: [path: string | undefined, grants: unknown][]
  let state: SessionState

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'errand-git-door-'))
    asked = []
    const source = { kind: 'upload', uploadId: '', name: 'a', origin: null } as const
    const beside = (name: string, access: 'read' | 'write') =>
      ({ name, access, source, pushGrants: NO_GRANTS }) as AdditionalState
    state = {
      ...{ id: SESSION, ownerId: 'ann', repository: { source } as Repository },
      ...{ pushGrants: NO_GRANTS, environment: { git: { rewrite: false } } },
      additional: [beside('lib', 'write'), beside('docs', 'read')],
    } as SessionState
    const socketPath = join(folder, 'gitd.sock')
    const gitd = createServer(({ url, headers }, answer) => {
      asked.push([url, decodeGrants(headers[PUSH_HEADER])])
      answer.end()
    })
    const route = createGitRoute(socketPath, {
      store: {
        credentials: {} as GitDoorDeps['store']['credentials'],
        sessions: { get: async () => state },
      },
      watch: { get: () => ({ state }) },
      builds: { readsFrom: () => undefined },
      submodules: { named: async () => undefined },
    })
    const door = createServer((request, response) => {
      void route({ sessionId: SESSION, request, response, path: request.url ?? '' })
    })
    servers = [gitd.listen(socketPath), door.listen(0, '127.0.0.1')]
    await Promise.all(servers.map((server) => once(server, 'listening')))
    address = `http://127.0.0.1:${(door.address() as AddressInfo).port}`
  })
  afterEach(async () => {
    for (const server of servers) {
      server.close()
      server.closeAllConnections()
    }
    await rm(folder, { recursive: true })
  })

  /** The grants that gitd is told, of the main repository and of those beside it. */
  async function told() {
    asked = []
    for (const name of [undefined, 'lib', 'docs']) {
      const { pathname } = new URL(doorUrl(name))
      await fetch(`${address}${pathname}/info/refs?service=git-receive-pack`)
    }
    const paths = asked.map(([path]) => path?.split('/info/')[0]?.split(SESSION)[1])
    expect(paths).toEqual(['', '/lib.git', '/docs.git'])
    return asked.map(([, grants]) => grants)
  }

  it('is what was granted of that repository, from the next request on', async () => {
    expect(await told()).toEqual([NO_GRANTS, NO_GRANTS, undefined])
    const lib = { branches: ['side'], rewrite: true }
    // One that is read is never pushed to, whatever its state may say.
    state = { ...state, additional: state.additional.map((one) => ({ ...one, pushGrants: lib })) }
    expect(await told()).toEqual([NO_GRANTS, lib, undefined])
    const main = { branches: ['next'], rewrite: false }
    state = { ...state, pushGrants: main }
    expect(await told()).toEqual([main, lib, undefined])
  })

  it('is to rewrite the own branch of each where the environment says so', async () => {
    const { environment } = state
    const git = { ...environment.git, rewrite: true }
    state = { ...state, environment: { ...environment, git } }
    const anew = { branches: [], rewrite: true }
    expect(await told()).toEqual([anew, anew, undefined])
  })
})
