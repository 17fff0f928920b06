// A repository on an https or http host, as git inside a sandbox sees it: under its true address, with nothing rewritten, while what
// git asks there goes through the session's door. The host asks for a credential that is nowhere inside; so does the host of
// a submodule, for one of its own.
import { once } from 'node:events'
import { access, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createSecureContext, createServer, type Server } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createLeaves, type LeafFor, makeAuthority } from '../../src/egress/tls/authority.ts'
import { createLfsServer } from '../../src/git/lfs/lfs-server.fixture.ts'
import type { NewSession } from '../../src/protocol/api.ts'
import { doorUrl } from '../../src/protocol/git-door.ts'
import { createForge } from './forge.ts'
import { eventsOf, type Installation, startInstallation } from './installation.ts'
import { createIsland, type Island } from './island.ts'
import { searchCommand, tryAll } from './transcript.ts'
import { createPrivateUpstream, GIT_HOST, type PrivateUpstream } from './upstream.ts'

const MODULE_HOST = 'modules.errand.test'
const url = (name: string, host = GIT_HOST) => `https://${host}/${name}.git`

let folder: string
let island: Island
let upstream: PrivateUpstream
let modules: PrivateUpstream
let front: Server
let errand: Installation

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-true-url-'))
  island = await createIsland({ hosts: { [GIT_HOST]: 'outside', [MODULE_HOST]: 'outside' } })
  upstream = await createPrivateUpstream(island.outside)
  modules = await createPrivateUpstream(island.outside, 'another-Token-51bd0e77aa')
  upstream.answer = (incoming, outgoing) =>
    incoming.url?.startsWith('/api/')
      ? outgoing.end('the api\n')
      : upstream.serve(incoming, outgoing)
  await upstream.git('push', '--quiet', modules.directory, '+refs/heads/main:refs/heads/main')
  await upstream.copy('lib')
  const authority = await makeAuthority(Date.now())
  const caFile = join(folder, 'authority.pem')
  await writeFile(caFile, authority.certificate)
  front = await listenWithTls(await createLeaves(authority, Date.now))
  errand = await startInstallation({
    island,
    env: {
      ERRAND_ALLOWED_NETWORKS: `${GIT_HOST}=${island.network},${MODULE_HOST}=${island.network}`,
      NODE_EXTRA_CA_CERTS: caFile,
    },
  })
  for (const [host, { user, token }] of [
    [GIT_HOST, upstream],
    [MODULE_HOST, modules],
  ] as const)
    await errand.client.createCredential({ host, username: user, secret: token })
})
afterAll(async () => {
  await errand?.stop()
  front?.close()
  await Promise.all([upstream?.remove(), modules?.remove()])
  await island?.remove()
  await rm(folder, { recursive: true, force: true })
})

/** At the usual port, for both hosts. */
async function listenWithTls(leafFor: LeafFor): Promise<Server> {
  const portOf = (one: PrivateUpstream) => Number(new URL(one.url).port)
  const server = createServer(
    {
      SNICallback: (name, done) =>
        leafFor(name).then((leaf) => done(null, createSecureContext(leaf)), done),
    },
    (socket) => {
      const to = socket.servername === MODULE_HOST ? modules : upstream
      const behind = connect(portOf(to), island.outside)
      for (const [one, other] of [
        [socket, behind],
        [behind, socket],
      ] as const) {
        one.on('error', () => other.destroy())
        one.pipe(other)
      }
    },
  )
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

const basic = ({ user, token }: PrivateUpstream) =>
  `Basic ${Buffer.from(`${user}:${token}`).toString('base64')}`
const shown = (address: string) => `origin\t${address} (fetch)\norigin\t${address} (push)`

describe('a session on an https repository', () => {
  it('works under the true address at a level that lists nothing, within its scope', async () => {
    const id = await start({ network: { level: 'none' } })
    const { repository } = await errand.client.getSession(id)
    const before = await upstream.refs()
    const said = await tryAll(errand, id, {
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
    await upstream.copy('neighbour')
    const seen = upstream.requests.length
    const said = await tryAll(errand, id, {
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
    const lib = await tryAll(errand, id, {
      remote: 'git -C ../lib remote -v',
      fetch: 'git -C ../lib fetch origin && echo fetched',
      push: 'git -C ../lib push origin HEAD:refs/heads/mine',
    })
    expect(lib.remote).toBe(shown(url('lib')))
    expect(lib.fetch).toContain('fetched')
    expect(lib.push).toContain('reading only (repository_read_only)')
  })
})

describe('large files (LFS)', () => {
  it('go both ways under the true address, at a level that lists nothing', async () => {
    const lfs = await createLfsServer({ host: island.outside, name: GIT_HOST })
    const batch = '/large.git/info/lfs/objects/batch'
    const { answer } = upstream
    upstream.answer = (incoming, outgoing) => {
      if (incoming.url !== batch) answer(incoming, outgoing)
      else if (incoming.headers.authorization === basic(upstream))
        void lfs.batch(incoming, outgoing)
      else outgoing.writeHead(401).end()
    }
    await upstream.copy('large')
    const source = { kind: 'remote' as const, url: url('large') }
    const id = await start({ source, network: { level: 'none' } })
    const { branch } = (await errand.client.getSession(id)).repository
    const asked = '{"operation":"download","objects":[{"oid":"%s","size":400000}]}'
    const said = await tryAll(errand, id, {
      push: `git lfs track '*.bin' && head -c 400000 /dev/urandom > big.bin &&
git add . && git commit --quiet -m large && git push --quiet origin HEAD && git lfs env | grep ^Endpoint`,
      commit: 'git rev-parse HEAD',
      again: `git clone --quiet --branch ${branch} ${url('large')} /tmp/again && sha256sum /tmp/again/big.bin`,
      batch: `printf '${asked}' $(sha256sum < /tmp/again/big.bin | cut -c-64) |
curl -sS --data-binary @- https://${GIT_HOST}${batch}`,
    })
    expect(said.push).toContain(`Endpoint=${url('large')}/info/lfs`)
    const [oid = '', content] = [...lfs.objects][0] ?? []
    expect(content).toHaveLength(400_000)
    expect(said.again).toContain(`${oid}  /tmp/again/big.bin`)
    expect(lfs.transfers.map(({ method }) => method)).toEqual(['PUT', 'GET'])
    for (const transfer of lfs.transfers) expect(transfer.authorization).toBeUndefined()
    expect(said.batch).toContain(`${doorUrl()}/info/lfs/objects/${oid}`)
    expect(said.batch).not.toContain('let-me-in')

    // Another session has them from the start: in a submodule, and in a repository beside its own.
    const pinned = { near: said.commit ?? '' }
    await upstream.addWith('outer', { near: '../large.git' }, { pinned })
    const beside = { source, baseBranch: branch, access: 'read' as const }
    const next = await start({
      ...{ source: { kind: 'remote', url: url('outer') }, network: { level: 'none' } },
      additional: [beside],
    })
    const there = await tryAll(errand, next, {
      sums: 'sha256sum near/big.bin ../large/big.bin',
      push: `cd near && head -c 1000 /dev/urandom > big.bin && git add . && git commit --quiet -m mine &&
git lfs push origin HEAD`,
    })
    expect(there.sums).toBe(`${oid}  near/big.bin\n${oid}  ../large/big.bin`)
    expect(there.push).toContain('read-only here')
    expect(lfs.transfers.filter(({ method }) => method === 'PUT')).toHaveLength(1)
    upstream.answer = answer
    lfs.close()
  })
})

describe('submodules', () => {
  it('are there from the start, each with the credential of its own host, and the others are told of', async () => {
    const elsewhere = join(folder, 'elsewhere')
    await upstream.copy('another/base')
    const named = { deep: '../../lib.git', base: url('another/base') }
    const middle = await upstream.addWith('group/middle', named, { passing: true })
    await upstream.addWith(
      'app',
      {
        near: '../lib.git',
        far: url('project', MODULE_HOST),
        path: dirname(upstream.directory),
        helper: `ext::touch ${elsewhere}`,
        option: '-u./payload',
        moved: url('moved'),
        middle: url('group/middle'),
      },
      { pinned: { middle } },
    )
    const { answer } = upstream
    upstream.answer = (incoming, outgoing) =>
      incoming.url?.startsWith('/moved.git/')
        ? outgoing.writeHead(302, { location: `https://${MODULE_HOST}${incoming.url}` }).end()
        : answer(incoming, outgoing)
    const id = await start({
      source: { kind: 'remote', url: url('app') },
      network: { level: 'custom', domains: [MODULE_HOST], includeTrusted: false },
    })
    const { phases } = (await errand.client.getSession(id)).sandbox
    const log = phases.find(({ name }) => name === 'checkout')?.log.join('\n')
    expect(log).toMatch(/goes on without these submodules: .*moved/)
    for (const name of ['path', 'helper', 'option']) expect(log).toContain(name)
    const said = await tryAll(errand, id, {
      near: 'ls near; git -C near remote -v',
      far: 'ls far; git -C far remote -v',
      deep: 'git -C middle rev-parse HEAD; ls middle/deep middle/base',
      others: 'ls path helper option moved',
      again:
        'git submodule deinit --quiet --force near && git submodule update --init near && ls near',
      push: 'git -C near push origin HEAD:refs/heads/mine',
      unnamed: `git ls-remote ${url('project')}`,
    })
    expect(said.near).toContain('package.json')
    expect(said.near).toContain(shown(url('lib')))
    expect(said.far).toContain('package.json')
    expect(said.far).toContain(shown(url('project', MODULE_HOST)))
    expect(said.deep).toContain(middle)
    expect(said.deep?.match(/package\.json/g)).toHaveLength(2)
    expect(said.others).not.toContain('package.json')
    expect(said.again).toContain('package.json')
    expect(said.push).toContain('reading only (submodule_read_only)')
    // The same host has other repositories that the credential may read, and the session may not.
    expect(said.unnamed).toContain('403')
    for (const host of [upstream, modules]) {
      const sent = new Set(host.requests.map(({ authorization }) => authorization))
      sent.delete(undefined)
      expect([...sent]).toEqual([basic(host)])
    }
    expect(modules.requests.map(({ path }) => path).join()).not.toContain('moved')
    await expect(access(elsewhere)).rejects.toThrow('ENOENT')
    expect(await tryAll(errand, id, { made: `ls ${elsewhere}` })).toMatchObject({
      made: expect.stringContaining('No such file'),
    })
  })
})

describe('a session on a plain http repository', () => {
  it('works under the true address, reads its submodules, and goes to a neighbour as anybody would', async () => {
    const plain = (name: string) => upstream.url.replace('project', name)
    const middle = await upstream.addWith('between', { deep: '../lib.git' })
    await upstream.addWith(
      'plain',
      { near: plain('lib'), between: '../between.git' },
      { pinned: { between: middle } },
    )
    await upstream.copy('plain-old')
    const { host } = new URL(upstream.url)
    const id = await start({
      source: { kind: 'remote', url: plain('plain') },
      network: { level: 'custom', domains: [host], includeTrusted: false },
    })
    const seen = upstream.requests.length
    const said = await tryAll(errand, id, {
      remote: 'git remote -v; git -C near remote -v',
      alone: 'env -u http_proxy -u HTTP_PROXY git fetch && echo fetched',
      branch: 'git commit --quiet --allow-empty -m mine && git push && echo pushed',
      near: 'ls near; git -C near fetch && echo fetched',
      deep: 'ls between/deep; git -C between/deep fetch && echo fetched',
      push: 'git -C near push origin HEAD:refs/heads/mine',
      own: `git ls-remote ${plain('plain').slice(0, -4)} main`,
      neighbour: `git ls-remote ${plain('plain-old')}`,
    })
    expect(said.remote).toBe(`${shown(plain('plain'))}\n${shown(plain('lib'))}`)
    expect(said.branch).toContain('pushed')
    for (const one of [said.near, said.deep]) {
      expect(one).toContain('package.json')
      expect(one).toContain('fetched')
    }
    expect(said.push).toContain('reading only (submodule_read_only)')
    expect(said.own).toContain('refs/heads/main')
    expect(said.neighbour).toMatch(
      new RegExp(`(Username|Authentication failed) for 'http://${host}`),
    )
    const toNeighbour = upstream.requests.slice(seen).filter(({ path }) => /plain-old/.test(path))
    expect(toNeighbour.length).toBeGreaterThan(0)
    for (const { authorization } of toNeighbour) expect(authorization).toBeUndefined()
  })
})

describe('gh', () => {
  it('works on the true address with a token that is nowhere inside', async () => {
    const token = 'ghp_4Real0Token1Of2The3Forge9xyz'
    const forge = createForge({ host: GIT_HOST, owner: 'acme', name: 'shop', token })
    await upstream.copy('acme/shop')
    const { answer } = upstream
    upstream.answer = (incoming, outgoing) =>
      incoming.url?.startsWith('/api/')
        ? void forge.answer(incoming, outgoing)
        : answer(incoming, outgoing)
    const network = { level: 'none' as const, domains: [], includeTrusted: false }
    const { id: environment } = await errand.client.createEnvironment({ name: 'forge', network })
    await errand.client.createCredential({
      ...{ host: GIT_HOST, kind: 'bearer', secret: token },
      binding: {
        paths: ['/api/'],
        variable: 'GH_ENTERPRISE_TOKEN',
        environmentId: environment,
      },
    })
    const id = await start({ source: { kind: 'remote', url: url('acme/shop') }, environment })
    const { branch } = (await errand.client.getSession(id)).repository
    const said = await tryAll(errand, id, {
      host: 'echo $GH_HOST',
      status: 'gh auth status',
      view: 'gh repo view --json nameWithOwner,url,defaultBranchRef',
      user: 'gh api user --jq .login',
      push: 'git commit --quiet --allow-empty -m mine && git push --quiet origin HEAD',
      create: 'gh pr create --title "Better shop" --body "As asked."',
      list: 'gh pr list',
      token: searchCommand([token]),
    })
    expect(said.host).toBe(GIT_HOST)
    expect(said.status).toContain(`Logged in to ${GIT_HOST} as ada`)
    expect(JSON.parse(said.view ?? '')).toMatchObject({
      ...{ nameWithOwner: 'acme/shop', url: url('acme/shop').slice(0, -4) },
    })
    expect(said.user).toBe('ada')
    expect(said.create).toContain(`https://${GIT_HOST}/acme/shop/pull/1`)
    expect(forge.pulls).toMatchObject([
      { title: 'Better shop', headRefName: branch, baseRefName: 'main' },
    ])
    expect(said.list).toContain(`Better shop\t${branch}\tOPEN`)
    expect(said.token).toBe('searched')
    expect([...forge.seen]).toEqual([`token ${token}`])
  })
})
