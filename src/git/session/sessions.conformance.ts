// Session repositories for real: git, an upstream over HTTP, and a clone and push as an agent makes them.
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { BRANCH, createScene, reasonOf, type Scene } from '../room.fixture.ts'

let scene: Scene

beforeEach(async () => {
  scene = await createScene()
})

afterEach(async () => {
  await scene.close()
})

it('prepares, is cloned, takes a push and passes it on', async () => {
  const { room, upstream } = scene
  const { workbench, client } = room
  const { sessionId, clone, commit, name, defaultBranch } = await scene.start()
  expect({ name, defaultBranch }).toEqual({ name: 'project', defaultBranch: 'main' })
  expect(await workbench.git(clone, ['symbolic-ref', 'refs/remotes/origin/HEAD'])).toBe(
    'refs/remotes/origin/main',
  )
  const made = await workbench.commit(clone, { 'a.txt': 'a\n' }, 'add a')
  const push = await workbench.run(clone, ['push', 'origin', BRANCH])
  expect(push, push.stderr).toMatchObject({ exitCode: 0 })
  expect(await workbench.git(upstream.directory, ['rev-parse', `refs/heads/${BRANCH}`])).toBe(made)
  expect(await room.observed(1)).toMatchObject([
    {
      sessionId,
      ref: `refs/heads/${BRANCH}`,
      new: made,
      accepted: true,
      outward: 'forwarded',
      reason: null,
    },
  ])
  expect(await client.sessionRefs(sessionId)).toMatchObject({
    tip: made,
    start: commit,
    baseBranch: 'main',
  })
  expect(await client.forward({ sessionId })).toMatchObject({ outward: 'forwarded', commit: made })
})

it('answers a repeated preparation with the same, and another one with the same id not at all', async () => {
  const first = await scene.prepare()
  scene.upstream.close()
  const { sessionId } = first
  expect(await scene.prepare({ sessionId })).toEqual(first)
  expect(await reasonOf(scene.prepare({ sessionId, ownerId: 'somebody' }))).toBe('session_exists')
})

it('shows upstream as it is now, at most ten seconds old', async () => {
  const { room, upstream } = scene
  const { workbench } = room
  const { clone } = await scene.start()
  room.pass(10_001)
  const next = await workbench.commit(upstream.checkout, { 'next.txt': '1\n' })
  await workbench.git(upstream.checkout, [
    'push',
    '--quiet',
    'origin',
    'main',
    'HEAD:refs/heads/new',
    'HEAD:refs/tags/v1',
  ])
  await workbench.git(clone, ['fetch', '--quiet', '--tags', 'origin'])
  expect(await workbench.git(clone, ['rev-parse', 'origin/main', 'origin/new', 'v1'])).toBe(
    `${next}\n${next}\n${next}`,
  )
  const asked = upstream.requests.length
  await workbench.git(clone, ['fetch', '--quiet', 'origin'])
  expect(upstream.requests.length).toBe(asked)
  room.pass(10_001)
  await workbench.git(upstream.checkout, ['push', '--quiet', 'origin', ':new'])
  await workbench.git(clone, ['fetch', '--quiet', '--prune', 'origin'])
  expect((await workbench.run(clone, ['rev-parse', '--verify', 'origin/new'])).exitCode).not.toBe(0)
  room.pass(10_001)
  upstream.close()
  await workbench.git(clone, ['fetch', '--quiet', 'origin'])
})

it('keeps the commit it started from when upstream is force-pushed and the packs are joined', async () => {
  const { room, upstream } = scene
  const { workbench } = room
  const { sessionId, clone, commit } = await scene.start()
  for (let round = 0; round < 55; round += 1) {
    await workbench.git(upstream.checkout, [
      'commit',
      '--quiet',
      '--amend',
      '--allow-empty',
      '-m',
      `round ${round}`,
    ])
    await workbench.git(upstream.checkout, ['push', '--quiet', '--force', 'origin', 'main'])
    room.pass(10_001)
    await workbench.git(clone, ['ls-remote', '--quiet', 'origin', 'main'])
  }
  const [mirror = ''] = await readdir(join(room.dataDir, 'mirrors'))
  const packs = await readdir(join(room.dataDir, 'mirrors', mirror, 'objects', 'pack'))
  expect(packs.filter((name) => name.endsWith('.pack')).length).toBeLessThan(50)
  const again = join(room.root, 'again')
  await workbench.git(room.root, ['clone', '--quiet', room.door(sessionId), again])
  await workbench.git(again, ['fetch', '--quiet', 'origin', commit])
  await workbench.git(again, [
    '-c',
    'protocol.version=0',
    'fetch',
    '--quiet',
    'origin',
    'refs/errand/start',
  ])
  await workbench.git(again, ['checkout', '--quiet', commit])
  await workbench.commit(clone, { 'a.txt': 'a\n' })
  await workbench.git(clone, ['push', '--quiet', 'origin', BRANCH])
  await workbench.git(join(room.dataDir, 'sessions', `${sessionId}.git`), ['fsck', '--strict'])
}, 120_000)

it('finds another name where the branch that it asks for is taken, and says which', async () => {
  const asked = { branch: 'errand/fix', orNumbered: true }
  const [first, second] = await Promise.all([scene.start({ request: asked }), scene.prepare(asked)])
  expect(new Set([first.branch, second.branch])).toEqual(new Set(['errand/fix', 'errand/fix-2']))
  expect(await scene.prepare({ ...asked, sessionId: second.sessionId })).toEqual(second)
  const { clone, branch } = first
  await scene.room.workbench.commit(clone, { 'a.txt': 'a\n' })
  await scene.room.workbench.git(clone, ['push', '--quiet', 'origin', `HEAD:${branch}`])
  await scene.room.client.removeSession(first.sessionId)
  scene.room.pass(10_001)
  const names = [await scene.prepare(asked), await scene.prepare(asked)].map((one) => one.branch)
  expect(names).not.toContain(branch)
  expect(names).not.toContain(second.branch)
})

it('starts several sessions on one mirror at once', async () => {
  const { room } = scene
  const started = await Promise.all([scene.start(), scene.start(), scene.start()])
  expect(await readdir(join(room.dataDir, 'mirrors'))).toHaveLength(1)
  expect(new Set(started.map(({ commit }) => commit)).size).toBe(1)
  await scene.prepare({ ownerId: 'somebody' })
  expect(await readdir(join(room.dataDir, 'mirrors'))).toHaveLength(2)
})

it('moves the own branch forward when somebody added to it upstream, and never back', async () => {
  const { room, upstream } = scene
  const { workbench } = room
  const { sessionId, clone } = await scene.start()
  await workbench.commit(clone, { 'a.txt': 'a\n' })
  await workbench.git(clone, ['push', '--quiet', 'origin', BRANCH])
  await workbench.git(upstream.checkout, ['fetch', '--quiet', 'origin'])
  await workbench.git(upstream.checkout, ['checkout', '--quiet', BRANCH])
  const added = await workbench.commit(upstream.checkout, { 'b.txt': 'b\n' })
  await workbench.git(upstream.checkout, ['push', '--quiet', 'origin', BRANCH])
  room.pass(10_001)
  await workbench.git(clone, ['pull', '--quiet', 'origin', BRANCH])
  expect(await workbench.git(clone, ['rev-parse', 'HEAD'])).toBe(added)
  await workbench.git(upstream.checkout, ['push', '--quiet', '--force', 'origin', `main:${BRANCH}`])
  room.pass(10_001)
  await workbench.git(clone, ['fetch', '--quiet', 'origin'])
  expect((await room.client.sessionRefs(sessionId)).tip).toBe(added)
})
