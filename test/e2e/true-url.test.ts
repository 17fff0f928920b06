// A repository on an https host, as git inside a sandbox sees it: under its true address, with nothing rewritten, while what
// git asks there goes through the session's door. The host asks for a credential that is nowhere inside.
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createServer, type Server } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createLeaves, makeAuthority } from '../../src/egress/authority.ts'
import { createWorkbench } from '../../src/git/upstream.fixture.ts'
import type { NewSession } from '../../src/protocol/api.ts'
import { eventsOf, type Installation, startInstallation } from './installation.ts'
import { createIsland, type Island } from './island.ts'
import { runInside } from './transcript.ts'
import { createPrivateUpstream, GIT_HOST, type PrivateUpstream } from './upstream.ts'

const url = (name: string) => `https://${GIT_HOST}/${name}.git`

let folder: string
let island: Island
let upstream: PrivateUpstream
let front: Server
let errand: Installation

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-true-url-'))
  island = await createIsland({ hosts: { [GIT_HOST]: 'outside' } })
  upstream = await createPrivateUpstream(island.outside)
  upstream.answer = (incoming, outgoing) =>
    incoming.url?.startsWith('/api/')
      ? outgoing.end('the api\n')
      : upstream.serve(incoming, outgoing)
  await copyRepository('lib')
  const authority = await makeAuthority(Date.now())
  const caFile = join(folder, 'authority.pem')
  await writeFile(caFile, authority.certificate)
  front = await listenWithTls(await (await createLeaves(authority, Date.now))(GIT_HOST))
  errand = await startInstallation({
    island,
    env: { ERRAND_ALLOWED_NETWORKS: `${GIT_HOST}=${island.network}`, NODE_EXTRA_CA_CERTS: caFile },
  })
  const { user, token } = upstream
  await errand.client.createCredential({ host: GIT_HOST, username: user, secret: token })
})
afterAll(async () => {
  await errand?.stop()
  front?.close()
  await upstream?.remove()
  await island?.remove()
  await rm(folder, { recursive: true, force: true })
})

/** One more repository of the host, with the same content. */
async function copyRepository(name: string): Promise<string> {
  const copy = join(dirname(upstream.directory), `${name}.git`)
  await createWorkbench(folder).git(folder, [
    'clone',
    '--quiet',
    '--bare',
    upstream.directory,
    copy,
  ])
  return copy
}

async function listenWithTls(leaf: { key: string; cert: string }): Promise<Server> {
  const { hostname, port } = new URL(upstream.url.replace(GIT_HOST, island.outside))
  const server = createServer(leaf, (socket) => {
    const behind = connect(Number(port), hostname)
    for (const [one, other] of [
      [socket, behind],
      [behind, socket],
    ] as const) {
      one.on('error', () => other.destroy())
      one.pipe(other)
    }
  })
  server.listen(443, island.outside)
  await once(server, 'listening')
  return server
}

async function start(fields: Partial<NewSession>): Promise<string> {
  const source = { kind: 'remote' as const, url: url('project') }
  const asked = { prompt: 'echo ready', kind: 'command' as const, source, ...fields }
  const { id } = await errand.client.createSession(asked)
  expect(eventsOf(await errand.finish(id), 'session.failed')).toEqual([])
  return id
}

/** Each command with what it said, whether it succeeded or not. */
async function tryAll(id: string, commands: Record<string, string>) {
  const script = Object.entries(commands)
    .map(([name, command]) => `printf '\n== ${name}\n'; { ${command}; } 2>&1`)
    .join('\n')
  const parts = (await runInside(errand, id, script)).split(/^== /m).slice(1)
  return Object.fromEntries(
    parts.map((part) => [part.slice(0, part.indexOf('\n')), part.slice(part.indexOf('\n')).trim()]),
  )
}

const shown = (address: string) => `origin\t${address} (fetch)\norigin\t${address} (push)`

describe('a session on an https repository', () => {
  it('works under the true address at a level that lists nothing, within its scope', async () => {
    const id = await start({ network: { level: 'none' } })
    const { repository } = await errand.client.getSession(id)
    const before = await upstream.refs()
    const said = await tryAll(id, {
      remote: 'git remote -v; git config --get remote.origin.url',
      rewritten: "git config --get-regexp '^url'",
      fetch: 'git fetch origin && echo fetched',
      plain: `env -u https_proxy -u HTTPS_PROXY git ls-remote ${url('project').slice(0, -4)} main`,
      push: 'git commit --quiet --allow-empty -m mine && git push && echo pushed',
      other: 'git push origin HEAD:other',
      api: `curl -sS -w '%{http_code} %header{x-deny-reason}' -o /dev/null https://${GIT_HOST}/api/user`,
      neighbour: `git ls-remote ${url('lib')}`,
      secret: `curl -sS https://${GIT_HOST}/project.git/info/refs?service=git-upload-pack -o /dev/null -D -`,
    })
    expect(said.remote).toBe(`${shown(url('project'))}\n${url('project')}`)
    expect(said.rewritten).toBe('')
    expect(said.fetch).toContain('fetched')
    expect(said.plain).toContain(`${before['refs/heads/main']}\trefs/heads/main`)
    expect(said.push).toContain('pushed')
    const branch = `refs/heads/${repository.branch}`
    expect(said.other).toContain(
      `errand: this session may push to ${branch} only; refs/heads/other was refused`,
    )
    expect(said.api).toBe('403 level_none')
    expect(said.neighbour).toContain('403')
    expect(said.secret).toContain('200 OK')
    expect(said.secret).not.toMatch(/authorization/i)
    const { [branch]: pushed, ...others } = await upstream.refs()
    expect(others).toEqual(before)
    expect(await upstream.git('log', '-1', '--format=%s', pushed ?? '')).toBe('mine')
    expect(upstream.requests.filter(({ path }) => /api|lib/.test(path))).toEqual([])
  })

  it('has other paths of the host by its rules and without the credential, and other repositories', async () => {
    const id = await start({
      network: { level: 'custom', domains: [GIT_HOST], includeTrusted: false },
      additional: [{ source: { kind: 'remote', url: url('lib') }, access: 'read' }],
    })
    await copyRepository('neighbour')
    const seen = upstream.requests.length
    const said = await tryAll(id, {
      api: `curl -sS https://${GIT_HOST}/api/user`,
      page: `curl -sS -o /dev/null -w '%{http_code}' https://${GIT_HOST}/project.git`,
      neighbour: `git ls-remote ${url('neighbour')}`,
    })
    expect(said.api).toBe('the api')
    expect(said.page).toBe('401')
    expect(said.neighbour).toMatch(/could not read Username|Authentication failed/)
    const asked = upstream.requests.slice(seen)
    expect(asked.length).toBeGreaterThan(2)
    for (const { authorization } of asked) expect(authorization).toBeUndefined()
    const lib = await tryAll(id, {
      remote: 'git -C ../lib remote -v',
      fetch: 'git -C ../lib fetch origin && echo fetched',
      push: 'git -C ../lib push origin HEAD:refs/heads/mine',
    })
    expect(lib.remote).toBe(shown(url('lib')))
    expect(lib.fetch).toContain('fetched')
    expect(lib.push).toContain('reading only (repository_read_only)')
  })
})
