// Submodules through real git: which addresses a commit names, and what is read of them, with which credential.
import { writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createScene, type Scene } from '../room.fixture.ts'
import type { UpstreamCredential } from './credential.ts'

const USER = 'deploy'
const SECRET = 'submodule-Token-0d3c55'
const CREDENTIAL: UpstreamCredential = { id: 'c1', username: USER, secret: SECRET }

let scene: Scene
beforeEach(async () => {
  scene = await createScene({ user: USER, password: SECRET })
})
afterEach(() => scene.close())

const prepare = () =>
  scene.prepare({ source: { kind: 'remote', url: scene.upstream.url, credential: CREDENTIAL } })
const git = (...args: string[]) => scene.room.workbench.git(scene.upstream.checkout, args)
const atUpstream = (path: string) => new URL(path, scene.upstream.url).href

/** A repository beside that of the session, at the same host. */
async function addLibrary(): Promise<string> {
  const bare = join(dirname(scene.upstream.directory), 'lib.git')
  await git('clone', '--quiet', '--bare', scene.upstream.directory, bare)
  return atUpstream('/lib.git')
}

const ask = (
  id: string,
  submodule: string,
  credential = CREDENTIAL as UpstreamCredential | undefined,
) => scene.room.door(id, { submodule, ...(credential ? { credential } : {}) })
const run = (...args: string[]) => scene.room.workbench.run(scene.room.root, args)

it('says what the commit names, as it stands there', async () => {
  const urls = ['../lib.git', 'https://other.example/x', 'ext::sh -c id', '-x', 'file:///etc']
  const text = urls
    .map((url, n) => `[submodule "m ${n}"]\n\tpath = m${n}\n\turl = ${url}\n`)
    .join('')
  const included = '[include]\n\tpath = /etc/gitconfig\n'
  await scene.room.workbench.commit(scene.upstream.checkout, { '.gitmodules': text + included })
  await git('push', '--quiet', 'origin', 'HEAD:main')
  const { sessionId } = await prepare()
  expect((await scene.room.client.submodules({ sessionId })).submodules).toEqual(
    urls.map((url) => ({ url, commit: null })),
  )
})

it('names none without the file, and for one that git cannot read', async () => {
  const { sessionId } = await prepare()
  expect((await scene.room.client.submodules({ sessionId })).submodules).toEqual([])
  await scene.room.workbench.commit(scene.upstream.checkout, { '.gitmodules': '[submodule "x' })
  await git('push', '--quiet', 'origin', 'HEAD:main')
  const { sessionId: second } = await prepare()
  expect((await scene.room.client.submodules({ sessionId: second })).submodules).toEqual([])
})

it('reads one with the credential that it is given, and takes no push', async () => {
  const url = await addLibrary()
  const { sessionId } = await prepare()
  const door = ask(sessionId, url)
  const clone = join(scene.room.root, 'lib')
  expect(await run('clone', '--quiet', door, clone)).toMatchObject({ exitCode: 0 })
  await scene.room.workbench.commit(clone, { 'a.txt': 'a\n' })
  const before = await scene.room.workbench.git(scene.upstream.checkout, ['ls-remote', 'origin'])
  const pushed = await scene.room.workbench.run(clone, ['push', 'origin', 'HEAD:refs/heads/mine'])
  expect(pushed.exitCode).not.toBe(0)
  expect(pushed.stderr).toContain('reading only (submodule_read_only)')
  expect(await git('ls-remote', 'origin')).toBe(before)
})

it('reads nothing without its credential or with another one, also after somebody had it', async () => {
  const url = await addLibrary()
  const { sessionId } = await prepare()
  expect(await run('ls-remote', ask(sessionId, url))).toMatchObject({ exitCode: 0 })
  const wrong = { ...CREDENTIAL, id: 'c2', secret: 'wrong' }
  const revoked = { ...CREDENTIAL, secret: 'revoked' }
  for (const door of [
    ask(sessionId, url, wrong),
    ask(sessionId, url, revoked),
    scene.room.door(sessionId, { submodule: url }),
  ]) {
    const { exitCode, stdout } = await run('ls-remote', door)
    expect([exitCode, stdout]).toEqual([128, ''])
  }
})

it('follows no redirect with a credential, and goes to no address that is none', async () => {
  const { sessionId } = await prepare()
  const seen: (string | undefined)[] = []
  scene.upstream.answer = (incoming, outgoing) => {
    incoming.resume()
    seen.push(incoming.headers.authorization)
    const location = incoming.url?.startsWith('/moved.git')
      ? atUpstream('/elsewhere.git/info/refs?service=git-upload-pack')
      : undefined
    outgoing.writeHead(location ? 302 : 404, location ? { location } : {}).end()
  }
  const { exitCode } = await run('ls-remote', ask(sessionId, atUpstream('/moved.git')))
  expect(exitCode).toBe(128)
  const asked = seen.length
  expect(asked).toBeGreaterThan(0)
  expect(scene.upstream.requests.map(({ path }) => path).join()).not.toContain('elsewhere')
  for (const url of ['ext::sh -c id', 'file:///etc', '--upload-pack=id', '/etc', ''])
    expect((await run('ls-remote', ask(sessionId, url))).exitCode, url).toBe(128)
  expect(seen).toHaveLength(asked)
})

it('says which commit is pinned, also at a path that git could take for a pattern', async () => {
  const head = await git('rev-parse', 'HEAD')
  const paths = ['libs/plain', ':(top)odd', '-option']
  for (const path of paths)
    await git('update-index', '--add', '--cacheinfo', `160000,${head},${path}`)
  const text = [...paths, 'absent'].map(
    (path, n) => `[submodule "m${n}"]\n\tpath = ${path}\n\turl = ../lib-${n}\n`,
  )
  await writeFile(join(scene.upstream.checkout, '.gitmodules'), text.join(''))
  await git('add', '.gitmodules')
  await git('commit', '--quiet', '-m', 'submodules')
  await git('push', '--quiet', 'origin', 'HEAD:main')
  const { sessionId } = await prepare()
  const { submodules } = await scene.room.client.submodules({ sessionId })
  expect(submodules).toEqual([
    ...paths.map((_, n) => ({ url: `../lib-${n}`, commit: head })),
    { url: '../lib-3', commit: null },
  ])
})

it('reads a pinned commit that no branch holds, and what it names in turn', async () => {
  const url = await addLibrary()
  const bare = join(dirname(scene.upstream.directory), 'lib.git')
  const work = join(scene.room.root, 'pinned')
  const { workbench, client } = scene.room
  await workbench.git(scene.room.root, ['clone', '--quiet', bare, work])
  const gitmodules = '[submodule "deep"]\n\tpath = deep\n\turl = ../deep.git\n'
  const commit = await workbench.commit(work, { '.gitmodules': gitmodules })
  await workbench.git(work, ['push', '--quiet', 'origin', 'HEAD:refs/heads/passing'])
  await workbench.git(bare, ['branch', '-D', 'passing'])
  const { sessionId } = await prepare()
  const of = { url, credentialId: CREDENTIAL.id, commit }
  expect(await client.submodules({ sessionId, of })).toEqual({ submodules: [] })

  const clone = join(scene.room.root, 'lib')
  const door = ask(sessionId, url)
  expect(await run('clone', '--quiet', door, clone)).toMatchObject({ exitCode: 0 })
  expect(await workbench.run(clone, ['cat-file', '-e', commit])).toMatchObject({ exitCode: 1 })
  for (const version of ['2', '0']) {
    const fetched = ['-c', `protocol.version=${version}`, 'fetch', '--quiet', 'origin', commit]
    const { exitCode, stderr } = await workbench.run(clone, fetched)
    expect(exitCode, stderr).toBe(0)
  }
  expect(await workbench.git(clone, ['show', `${commit}:.gitmodules`])).toContain('deep.git')
  expect(await client.submodules({ sessionId, of })).toEqual({
    submodules: [{ url: '../deep.git', commit: null }],
  })
  const stranger = { ...of, credentialId: 'c2' }
  expect(await client.submodules({ sessionId, of: stranger })).toEqual({ submodules: [] })
  const absent = await workbench.run(clone, ['fetch', 'origin', '1'.repeat(40)])
  expect(absent.exitCode).not.toBe(0)
  expect(absent.stderr).toMatch(/not our ref|remote error/)
})
