// Which kept work tree comes nearest to a commit, and how many files that has, asked of the real gitd.
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createScene, newSessionId, type Scene } from '../room.fixture.ts'

let scene: Scene

beforeEach(async () => {
  scene = await createScene()
})
afterEach(() => scene.close())

it('finds the nearest commit of the history that writes its files in the same way', async () => {
  const { workbench, root, client } = scene.room
  const folder = join(root, 'work')
  await workbench.git(root, ['clone', '--quiet', scene.upstream.directory, folder])
  const commit = (files: Record<string, string>) => workbench.commit(folder, files)
  const attributes = await commit({ 'deep-.gitattributes': 'no name of git', 'a.txt': '1' })
  const far = await commit({ 'a.txt': '2', '.gitattributes': '*.x text\n' })
  const near = await commit({ 'b.txt': '1', 'c.txt': '1' })
  const nearer = await commit({ 'b.txt': '2', 'c.txt': '2' })
  await workbench.git(folder, ['checkout', '--quiet', '-b', 'side'])
  const beside = await commit({ 'evil.txt': '1' })
  await workbench.git(folder, ['checkout', '--quiet', '-'])
  const tip = await commit({ 'b.txt': '3' })
  await workbench.git(folder, ['push', '--quiet', 'origin', 'HEAD:main', 'side'])
  const { sessionId } = await scene.prepare()

  const ask = async (...candidates: string[]) =>
    (await client.nearest({ sessionId, commit: tip, candidates })).nearest
  expect(await ask(attributes, far, beside, near, nearer)).toEqual({ commit: nearer, changed: 1 })
  expect(await ask(far, near, nearer)).toEqual({ commit: nearer, changed: 1 })
  expect(await ask(far)).toEqual({ commit: far, changed: 2 })
  expect(await ask(nearer, tip)).toEqual({ commit: tip, changed: 0 })
  expect(await ask(attributes)).toBeNull()
  expect(await ask(beside)).toBeNull()
  expect(await ask('f'.repeat(40))).toBeNull()
  expect(await ask()).toBeNull()

  const count = async (most: number) =>
    (await client.countFiles({ sessionId, commit: tip, most })).files
  const names = await workbench.git(folder, ['ls-files'])
  expect(await count(1000)).toBe(names.split('\n').length)
  expect(await count(2)).toBe(2)
  const unknown = client.countFiles({ sessionId, commit: 'f'.repeat(40), most: 1 })
  await expect(unknown).rejects.toMatchObject({ reason: 'commit_not_found' })
  const nobody = client.nearest({ sessionId: newSessionId(), commit: tip, candidates: [] })
  await expect(nobody).rejects.toMatchObject({ reason: 'session_not_found' })
})
