// Several repositories of one session for real: each has a door and a scope of its own, one that is read takes no push, and
// all of them go with the session.
import { readdir } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { BRANCH, createScene, OWNER, type Scene, type StartedSession } from '../room.fixture.ts'
import { createTestUpstream, type TestUpstream } from '../upstream/upstream.fixture.ts'

let scene: Scene
let session: StartedSession
let lib: TestUpstream

beforeEach(async () => {
  scene = await createScene()
  const { room } = scene
  session = await scene.start()
  lib = await createTestUpstream(join(room.root, 'lib upstream'), { workbench: room.workbench })
})

afterEach(async () => {
  lib.close()
  await scene.close()
})

async function attach(access: 'read' | 'write', repository = 'lib'): Promise<string> {
  const { client, root, workbench } = scene.room
  const { sessionId } = session
  const source = { kind: 'remote' as const, url: lib.url }
  await client.prepareSession({
    sessionId,
    repository,
    access,
    ownerId: OWNER,
    branch: BRANCH,
    source,
  })
  const clone = join(root, repository)
  await workbench.git(root, ['clone', '--quiet', doorOf(sessionId, repository), clone])
  return clone
}

const doorOf = (sessionId: string, repository: string) =>
  `${scene.room.door(sessionId)}/${repository}.git`
const push = (clone: string, ...args: string[]) =>
  scene.room.workbench.run(clone, ['push', 'origin', ...args])
const branchesOf = async ({ directory }: TestUpstream) =>
  (
    await scene.room.workbench.git(directory, ['for-each-ref', '--format=%(refname)', 'refs/heads'])
  ).split('\n')

it('pushes to the own branch of an additional repository, to that one, and to nothing else of it', async () => {
  const { room, upstream } = scene
  const clone = await attach('write')
  const made = await room.workbench.commit(clone, { 'b.txt': 'b\n' })
  const refused = await push(clone, 'HEAD:main')
  expect(refused).toMatchObject({ exitCode: 1 })
  expect(refused.stderr).toContain(`errand: this session may push to refs/heads/${BRANCH} only`)
  const taken = await push(clone, `HEAD:refs/heads/${BRANCH}`)
  expect(taken.exitCode, taken.stderr).toBe(0)
  expect(await branchesOf(lib)).toEqual([`refs/heads/${BRANCH}`, 'refs/heads/main'])
  expect(await branchesOf(upstream)).toEqual(['refs/heads/main'])
  const { sessionId } = session
  expect(await room.observed(2)).toMatchObject([
    { sessionId, repository: 'lib', accepted: false, reason: 'default_branch_not_allowed' },
    { sessionId, repository: 'lib', accepted: true, outward: 'forwarded', new: made },
  ])
  expect(await room.client.diff({ sessionId, repository: 'lib' })).toMatchObject({
    commit: made,
    files: [{ path: 'b.txt' }],
  })
  expect(await room.client.diff({ sessionId })).toMatchObject({ commit: null, files: [] })
  expect(await room.client.forward({ sessionId, repository: 'lib' })).toMatchObject({
    commit: made,
  })
})

it('answers one that is read with fetches only, and says why it takes no push', async () => {
  const { room } = scene
  const clone = await attach('read')
  const made = await room.workbench.commit(lib.checkout, { 'new.txt': '1\n' })
  await room.workbench.git(lib.checkout, ['push', '--quiet', 'origin', 'main'])
  room.pass(60_000)
  await room.workbench.git(clone, ['fetch', '--quiet', 'origin'])
  expect(await room.workbench.git(clone, ['rev-parse', 'origin/main'])).toBe(made)
  await room.workbench.commit(clone, { 'b.txt': 'b\n' })
  for (const ref of [BRANCH, 'main', '+HEAD:refs/errand/saved/work']) {
    const target = ref.includes(':') ? ref : `HEAD:refs/heads/${ref}`
    const { exitCode, stderr } = await push(clone, target)
    expect(exitCode).not.toBe(0)
    expect(stderr).toContain(
      'lib was attached to this session for reading only (repository_read_only)',
    )
  }
  // Without the list of refs that git asks for first.
  const direct = await fetch(`${doorOf(session.sessionId, 'lib')}/git-receive-pack`, {
    ...{ method: 'POST', body: '0000' },
    headers: { 'content-type': 'application/x-git-receive-pack-request' },
  })
  expect(direct.status).toBe(403)
  expect(await direct.json()).toMatchObject({ error: { reason: 'repository_read_only' } })
  expect(await branchesOf(lib)).toEqual(['refs/heads/main'])
})

it('opens no repository of another session, and none that was not attached', async () => {
  const { room } = scene
  await attach('write')
  const other = await scene.prepare()
  const asked = [
    doorOf(other.sessionId, 'lib'),
    doorOf(session.sessionId, 'absent'),
    doorOf(session.sessionId, `${other.sessionId}`),
    `${room.door(session.sessionId)}/..git`,
  ]
  for (const url of asked)
    expect((await room.workbench.run(room.root, ['ls-remote', url])).exitCode, url).not.toBe(0)
  const own = await room.workbench.run(room.root, ['ls-remote', doorOf(session.sessionId, 'lib')])
  expect(own.exitCode).toBe(0)
})

it('is not kept waiting by another one that has all the requests that it may have', async () => {
  const { room } = scene
  await attach('write')
  const door = doorOf(session.sessionId, 'lib')
  const hold = () => {
    const headers = { 'content-type': 'application/x-git-upload-pack-request' }
    const one = request(`${door}/git-upload-pack`, { method: 'POST', headers })
    // They are ended by this end, and say so.
    one.on('error', () => undefined)
    // The beginning of a length: git waits for the rest.
    one.write('00')
    return one
  }
  const held = Array.from({ length: 8 }, hold)
  const list = (url: string) => room.workbench.run(room.root, ['ls-remote', url])
  await vi.waitFor(async () => {
    // Where the list below came before the last of them, that one was refused, and its place is free again.
    held.push(hold())
    expect((await list(door)).stderr).toContain('429')
  }, 20_000)
  expect((await list(room.door(session.sessionId))).exitCode).toBe(0)
  for (const one of held) one.destroy()
})

it('goes with its session, and leaves those of others', async () => {
  const { room } = scene
  await attach('write')
  await attach('read', 'docs.x')
  const other = await scene.prepare()
  await room.client.removeSession(session.sessionId)
  expect(await readdir(join(room.dataDir, 'sessions'))).toEqual([`${other.sessionId}.git`])
})
