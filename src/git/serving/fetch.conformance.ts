// What a session may fetch of its repository beyond branches and tags, and how: pull requests by name, shallow and partial
// clones, while it is pushed to.
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { BRANCH, createScene, type Scene, type StartedSession } from '../room.fixture.ts'

let scene: Scene
let session: StartedSession

beforeEach(async () => {
  scene = await createScene()
  session = await scene.start()
})

afterEach(async () => {
  await scene.close()
})

const inUpstream = (...args: string[]) => scene.room.workbench.git(scene.upstream.checkout, args)
const inClone = (...args: string[]) => scene.room.workbench.git(session.clone, args)
const fetchesUpstream = () =>
  scene.upstream.requests.filter(({ path }) => path.endsWith('/git-upload-pack')).length

it('brings pull and merge requests that are named, as they are now, each at most once in ten seconds', async () => {
  const { workbench } = scene.room
  const first = await workbench.commit(scene.upstream.checkout, { 'pr.txt': '1\n' })
  await inUpstream('push', '--quiet', 'origin', 'HEAD:refs/pull/7/head', 'HEAD:refs/pull/8/head')
  await inUpstream('push', '--quiet', 'origin', 'HEAD:refs/merge-requests/3/head')
  const before = fetchesUpstream()
  await inClone('fetch', '--quiet', 'origin', 'pull/7/head')
  expect(await inClone('rev-parse', 'FETCH_HEAD')).toBe(first)
  const asked = fetchesUpstream()
  expect(asked).toBeGreaterThan(before)
  await inClone('fetch', '--quiet', 'origin', 'refs/pull/7/head:refs/remotes/origin/pr-7')
  expect(fetchesUpstream()).toBe(asked)
  await inClone('fetch', '--quiet', 'origin', 'merge-requests/3/head:mr-3')
  expect(await inClone('rev-parse', 'mr-3')).toBe(first)

  await inUpstream('commit', '--quiet', '--amend', '-m', 'again')
  await inUpstream('push', '--quiet', '--force', 'origin', 'HEAD:refs/pull/7/head')
  scene.room.pass(10_001)
  await inClone('fetch', '--quiet', 'origin', '+refs/pull/*/head:refs/remotes/origin/pr/*')
  const second = await inUpstream('rev-parse', 'HEAD')
  expect(await inClone('rev-parse', 'origin/pr/7', 'origin/pr/8')).toBe(`${second}\n${first}`)

  const missing = await workbench.run(session.clone, ['fetch', 'origin', 'pull/99/head'])
  expect(missing.stderr).toContain("couldn't find remote ref pull/99/head")
  scene.upstream.close()
  scene.room.pass(10_001)
  await inClone('fetch', '--quiet', 'origin', 'pull/7/head')
  const pushed = await workbench.run(session.clone, ['push', 'origin', 'HEAD:refs/pull/7/head'])
  expect(pushed.stderr).toContain('errand: this session may push to')
})

it('shows upstream as it is also when the clock was set back', async () => {
  const { workbench } = scene.room
  const made = await workbench.commit(scene.upstream.checkout, { 'new.txt': 'new\n' })
  await inUpstream('push', '--quiet', 'origin', 'main', 'HEAD:refs/pull/7/head')
  scene.room.pass(-3_600_000)
  await inClone('fetch', '--quiet', 'origin')
  expect(await inClone('rev-parse', 'origin/main')).toBe(made)
  await inClone('fetch', '--quiet', 'origin', 'pull/7/head')
  await inUpstream('push', '--quiet', '--force', 'origin', 'HEAD~1:refs/pull/7/head')
  scene.room.pass(-3_600_000)
  await inClone('fetch', '--quiet', 'origin', 'pull/7/head')
  expect(await inClone('rev-parse', 'FETCH_HEAD')).toBe(session.commit)
})

it('serves shallow and partial clones, which bring the rest when it is wanted', async () => {
  const { room } = scene
  const { workbench } = room
  for (const text of ['one', 'two', 'three'])
    await workbench.commit(scene.upstream.checkout, { 'text.txt': `${text}\n` }, text)
  await inUpstream('push', '--quiet', 'origin', 'main')
  const { sessionId } = await scene.prepare()
  const clone = async (...options: string[]) => {
    const folder = join(room.root, options.join('').replace(/\W/g, ''))
    await workbench.git(room.root, ['clone', '--quiet', ...options, room.door(sessionId), folder])
    return folder
  }
  const shallow = await clone('--depth=1')
  expect(await workbench.git(shallow, ['rev-list', '--count', 'HEAD'])).toBe('1')
  await workbench.git(shallow, ['checkout', '--quiet', '-b', BRANCH])
  await workbench.commit(shallow, { 'new.txt': 'new\n' })
  const pushed = await workbench.run(shallow, ['push', 'origin', BRANCH])
  expect(pushed.exitCode, pushed.stderr).toBe(0)
  await workbench.git(shallow, ['fetch', '--quiet', '--unshallow', 'origin'])
  expect(await workbench.git(shallow, ['rev-list', '--count', 'HEAD'])).toBe('5')

  const missing = ['rev-list', '--objects', '--all', '--missing=print']
  const partial = await clone('--filter=blob:none', '--no-checkout')
  const before = (await workbench.git(partial, missing)).split('\n')
  expect(before.filter((line) => line.startsWith('?')).length).toBeGreaterThan(3)
  expect(await workbench.git(partial, ['show', 'origin/main~1:text.txt'])).toBe('two')
  const treeless = await clone('--filter=tree:0', '--depth=2')
  expect(await workbench.git(treeless, ['show', 'HEAD~1:text.txt'])).toBe('two')
})

it('is read by many while it is pushed to, and every reader gets something whole', async () => {
  const { room } = scene
  const { workbench } = room
  const readers = Array.from({ length: 3 }, async (_, number) => {
    const folder = join(room.root, `reader-${number}`)
    await workbench.git(room.root, ['clone', '--quiet', room.door(session.sessionId), folder])
    for (let round = 0; round < 3; round++)
      await workbench.git(folder, ['fetch', '--quiet', 'origin'])
    await workbench.git(folder, ['fsck', '--connectivity-only'])
  })
  for (let round = 0; round < 3; round++) {
    await workbench.commit(session.clone, { 'a.txt': `${round}\n` })
    await inClone('push', '--quiet', 'origin', BRANCH)
  }
  await Promise.all(readers)
  const tip = await inClone('rev-parse', 'HEAD')
  expect(await workbench.git(scene.upstream.directory, ['rev-parse', BRANCH])).toBe(tip)
})
