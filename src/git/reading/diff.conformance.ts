// What a session changed, as it is read from its repository, for files that make trouble.
import { rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { BRANCH, createScene, type Scene } from '../room.fixture.ts'

let scene: Scene

beforeEach(async () => {
  scene = await createScene()
})

afterEach(async () => {
  await scene.close()
})

const lines = (count: number, word: string) =>
  Array.from({ length: count }, (_, index) => `${word} ${index}\n`).join('')

it('is empty before the first push', async () => {
  const { sessionId, commit } = await scene.prepare()
  expect(await scene.room.client.diff({ sessionId })).toEqual({
    base: commit,
    commit: null,
    patch: '',
    truncated: false,
    files: [],
    filesChanged: 0,
    insertions: 0,
    deletions: 0,
    commits: [],
  })
})

it('counts text, binary files, renames, deletions and strange names, and honours no attributes', async () => {
  const { room, upstream } = scene
  const { workbench } = room
  const old = {
    'old.txt': lines(20, 'line'),
    'gone.txt': 'gone\n',
    'data.bin': Buffer.from([0, 1, 2]),
  }
  await workbench.commit(upstream.checkout, old)
  await workbench.git(upstream.checkout, ['push', '--quiet', 'origin', 'main'])
  const { sessionId, clone } = await scene.start()
  await workbench.git(clone, ['mv', 'old.txt', 'renamed.txt'])
  await rm(join(clone, 'gone.txt'))
  await symlink('/etc/passwd', join(clone, 'link'))
  await workbench.commit(
    clone,
    { 'strange "name"\nwith\ttab é.txt': 'x\ny\n', 'data.bin': Buffer.from([0, 9]) },
    'one',
  )
  await workbench.commit(
    clone,
    { '.gitattributes': '* -diff\n*.txt diff=evil\n', 'README.md': 'hello\nmore\n' },
    'two',
  )
  await workbench.git(clone, ['push', '--quiet', 'origin', BRANCH])
  const { patch, files, ...rest } = await room.client.diff({ sessionId })
  const byPath = Object.fromEntries(files.map(({ path, ...file }) => [path, file]))
  const text = { from: null, binary: false, insertions: 0, deletions: 0 }
  expect(byPath).toEqual({
    '.gitattributes': { ...text, status: 'added', insertions: 2 },
    'README.md': { ...text, status: 'modified', insertions: 1 },
    'data.bin': { ...text, status: 'modified', binary: true },
    'gone.txt': { ...text, status: 'deleted', deletions: 1 },
    link: { ...text, status: 'added', insertions: 1 },
    'renamed.txt': { ...text, status: 'renamed', from: 'old.txt' },
    'strange "name"\nwith\ttab é.txt': { ...text, status: 'added', insertions: 2 },
  })
  expect(rest).toMatchObject({ filesChanged: 7, insertions: 6, deletions: 1, truncated: false })
  expect(rest.commits.map(({ subject }) => subject)).toEqual(['two', 'one'])
  expect(patch).toContain('rename from old.txt')
  expect(patch).toContain('+more')
})

it('cuts a long patch after its last whole file, and says so', async () => {
  const { room } = scene
  const { sessionId, clone } = await scene.start()
  await room.workbench.commit(clone, { 'a.txt': lines(10, 'a'), 'b.txt': lines(50_000, 'b') })
  await room.workbench.git(clone, ['push', '--quiet', 'origin', BRANCH])
  const diff = await room.client.diff({ sessionId, maxBytes: 10_000 })
  expect(diff).toMatchObject({ truncated: true, filesChanged: 2, insertions: 50_010 })
  expect(diff.patch).toMatch(/^diff --git a\/a.txt [\s\S]*\n\+a 9\n$/)
})

it('leaves out what came with a merge of the base', async () => {
  const { room, upstream } = scene
  const { workbench } = room
  const { sessionId, clone, commit } = await scene.start()
  await workbench.commit(clone, { 'mine.txt': '1\n' })
  await workbench.git(clone, ['push', '--quiet', 'origin', BRANCH])
  expect(await room.client.diff({ sessionId })).toMatchObject({ base: commit, filesChanged: 1 })
  await workbench.commit(upstream.checkout, { 'theirs.txt': '1\n' })
  await workbench.git(upstream.checkout, ['push', '--quiet', 'origin', 'main'])
  room.pass(10_001)
  await workbench.git(clone, ['pull', '--quiet', '--no-rebase', '--no-edit', 'origin', 'main'])
  await workbench.git(clone, ['push', '--quiet', 'origin', BRANCH])
  expect(await room.client.diff({ sessionId })).toMatchObject({
    filesChanged: 1,
    files: [{ path: 'mine.txt' }],
  })
})
