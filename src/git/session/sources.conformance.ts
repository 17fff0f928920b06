// What a session is made from, for real: an upstream, an upload, another session, and what is read of them.
import { existsSync } from 'node:fs'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { BRANCH, createScene, newSessionId, OWNER, reasonOf, type Scene } from '../room.fixture.ts'
import { createTestUpstream } from '../upstream/upstream.fixture.ts'

let scene: Scene

beforeEach(async () => {
  scene = await createScene()
})

afterEach(async () => {
  await scene.close()
})

it('starts from a branch, from a commit, and from a commit that no branch holds', async () => {
  const { room, upstream } = scene
  const { workbench } = room
  const first = await workbench.git(upstream.checkout, ['rev-parse', 'HEAD'])
  await workbench.git(upstream.checkout, ['checkout', '--quiet', '-b', 'side'])
  const side = await workbench.commit(upstream.checkout, { 'side.txt': '1\n' })
  await workbench.git(upstream.checkout, ['push', '--quiet', 'origin', 'side'])
  expect(await scene.prepare({ baseBranch: 'side' })).toMatchObject({
    commit: side,
    baseBranch: 'side',
  })
  expect(await scene.prepare({ commit: first, baseBranch: 'side' })).toMatchObject({
    commit: first,
    baseBranch: 'side',
  })
  const hidden = await workbench.commit(upstream.checkout, { 'side.txt': '2\n' })
  await workbench.git(upstream.checkout, ['push', '--quiet', 'origin', 'HEAD:refs/pull/1/head'])
  await workbench.git(upstream.directory, ['config', 'uploadpack.allowAnySHA1InWant', 'true'])
  expect(await scene.prepare({ commit: hidden })).toMatchObject({
    commit: hidden,
    baseBranch: 'main',
  })
})

it('says why a session cannot start', async () => {
  const { upstream } = scene
  const url = upstream.url
  const other = (path: string) => ({ source: { kind: 'remote' as const, url: path } })
  expect(await reasonOf(scene.prepare({ baseBranch: 'absent' }))).toBe('branch_not_found')
  expect(await reasonOf(scene.prepare({ commit: 'a'.repeat(40) }))).toBe('commit_not_found')
  await scene.room.workbench.git(upstream.checkout, [
    'push',
    '--quiet',
    'origin',
    'HEAD:refs/heads/taken',
  ])
  expect(await reasonOf(scene.prepare({ branch: 'taken' }))).toBe('branch_exists')
  expect(await reasonOf(scene.prepare({ branch: 'taken/deeper' }))).toBe('branch_name_taken')
  expect(await reasonOf(scene.prepare({ branch: '-x' }))).toBe('branch_name_invalid')
  expect(await reasonOf(scene.prepare(other(url.replace('project', 'absent'))))).toBe(
    'repository_not_found',
  )
  expect(await reasonOf(scene.prepare(other('file:///etc')))).toBe('repository_protocol_refused')
  expect(await reasonOf(scene.prepare(other('ext::sh -c id')))).toBe('repository_url_invalid')
  upstream.answer = (_incoming, outgoing) => outgoing.writeHead(503).end()
  expect(await reasonOf(scene.prepare())).toBe('upstream_unreachable')
  upstream.close()
  expect(await reasonOf(scene.prepare())).toBe('upstream_unreachable')
  expect(await readdir(join(scene.room.dataDir, 'sessions'))).toEqual([])
  expect(await readdir(join(scene.room.dataDir, 'tmp'))).toEqual([])
})

it('names an empty repository', async () => {
  const { room } = scene
  const empty = await createTestUpstream(join(room.root, 'empty'), {
    workbench: room.workbench,
    empty: true,
  })
  const source = { kind: 'remote' as const, url: empty.url }
  expect(await reasonOf(scene.prepare({ source }))).toBe('repository_empty')
  empty.close()
})

it('names a repository that has only a part of its history, and one with other ids', async () => {
  const { room, upstream } = scene
  const { workbench } = room
  const commit = await workbench.commit(upstream.checkout, { 'a.txt': 'a\n' })
  await workbench.git(upstream.checkout, ['push', '--quiet', 'origin', 'main'])
  await writeFile(join(upstream.directory, 'shallow'), `${commit}\n`)
  expect(await reasonOf(scene.prepare())).toBe('upstream_shallow')
  const other = join(room.root, 'other')
  await workbench.git(room.root, ['init', '--quiet', '-b', 'main', '--object-format=sha256', other])
  await workbench.commit(other, { 'a.txt': 'a\n' })
  await rm(upstream.directory, { recursive: true })
  await workbench.git(room.root, ['clone', '--quiet', '--bare', other, upstream.directory])
  expect(await reasonOf(scene.prepare())).toBe('upstream_sha256')
})

it('may work on a branch that is there already, when it starts from it', async () => {
  const { room, upstream } = scene
  const { clone } = await scene.start({ request: { branch: 'main', baseBranch: 'main' } })
  const made = await room.workbench.commit(clone, { 'a.txt': 'a\n' })
  await room.workbench.git(clone, ['push', 'origin', 'main'])
  expect(await room.workbench.git(upstream.directory, ['rev-parse', 'main'])).toBe(made)
})

it('is a repository as git itself would have made it', async () => {
  const { room, upstream } = scene
  const { workbench } = room
  // Not in this order for whoever compares UTF-16.
  const names = ['a', 'a-b', '\uff00', '\u{1f600}']
  for (const name of names) await workbench.git(upstream.checkout, ['branch', name])
  await workbench.git(upstream.checkout, ['tag', '--annotate', '--message', 'first', 'v1'])
  await workbench.git(upstream.checkout, ['push', '--quiet', '--all', 'origin'])
  await workbench.git(upstream.checkout, ['push', '--quiet', '--tags', 'origin'])
  const shown = await workbench.git(upstream.directory, ['show-ref', '--dereference'])
  const first = await scene.prepare()
  const source = { kind: 'session' as const, sessionId: first.sessionId }
  const second = await scene.prepare({ source })
  for (const { sessionId, commit } of [first, second]) {
    const directory = join(room.dataDir, 'sessions', `${sessionId}.git`)
    expect(await workbench.git(directory, ['fsck', '--strict'])).toBe('')
    const refs = await workbench.git(directory, ['show-ref', '--dereference'])
    expect(refs.split('\n').filter((line) => !line.endsWith(' refs/errand/start'))).toEqual(
      shown.split('\n'),
    )
    for (const name of names)
      expect(await workbench.git(directory, ['rev-parse', `refs/heads/${name}`])).toBe(commit)
    expect(await readFile(join(directory, 'packed-refs'), 'utf8')).toMatch(
      /^# pack-refs with: peeled fully-peeled sorted/,
    )
  }
})

it('starts from what the CLI uploaded, and stands without it', async () => {
  const { room, upstream } = scene
  const { workbench, client } = room
  const { uploadId } = await client.createUpload(OWNER)
  const head = await workbench.git(upstream.checkout, ['rev-parse', 'HEAD'])
  const refused = await workbench.run(upstream.checkout, [
    'push',
    room.door(uploadId),
    'HEAD:refs/tags/x',
  ])
  expect(refused.stderr).toContain('errand: only branches')
  await workbench.git(upstream.checkout, [
    'push',
    '--quiet',
    room.door(uploadId),
    'HEAD:refs/heads/topic',
  ])
  const source = { kind: 'upload' as const, uploadId, name: 'my-work' }
  expect(await reasonOf(scene.prepare({ source, ownerId: 'somebody' }))).toBe('upload_not_found')
  const { sessionId, clone, commit, name, baseBranch } = await scene.start({ request: { source } })
  expect({ commit, name, baseBranch }).toEqual({
    commit: head,
    name: 'my-work',
    baseBranch: 'topic',
  })
  await client.removeUpload(uploadId)
  const made = await workbench.commit(clone, { 'a.txt': 'a\n' })
  await workbench.git(clone, ['push', '--quiet', 'origin', BRANCH])
  expect(await room.observed(1)).toMatchObject([{ accepted: true, outward: 'none' }])
  await workbench.git(upstream.checkout, [
    'fetch',
    '--quiet',
    room.door(sessionId, { readOnly: true }),
    BRANCH,
  ])
  expect(await workbench.git(upstream.checkout, ['rev-parse', 'FETCH_HEAD'])).toBe(made)

  const child = await scene.start({
    request: { source: { kind: 'session', sessionId }, branch: 'errand/more' },
  })
  expect(child).toMatchObject({ commit: made, baseBranch: BRANCH, name: 'my-work' })
  await client.removeSession(sessionId)
  const more = await workbench.commit(child.clone, { 'b.txt': 'b\n' })
  await workbench.git(child.clone, ['push', '--quiet', 'origin', 'errand/more'])
  expect(await client.diff({ sessionId: child.sessionId })).toMatchObject({
    commit: more,
    filesChanged: 1,
  })
  expect(await reasonOf(client.diff({ sessionId }))).toBe('session_not_found')
})

it('starts from another session that borrows from a mirror', async () => {
  const { workbench, client } = scene.room
  const { sessionId, clone } = await scene.start()
  const source = { kind: 'session' as const, sessionId }
  expect(await reasonOf(scene.prepare({ source, ownerId: 'somebody' }))).toBe('session_not_found')
  const made = await workbench.commit(clone, { 'a.txt': 'a\n' })
  await workbench.git(clone, ['push', '--quiet', 'origin', BRANCH])
  const child = await scene.start({ request: { source, branch: 'errand/child' } })
  const grandchild = await scene.start({
    request: {
      source: { kind: 'session', sessionId: child.sessionId },
      branch: 'errand/grandchild',
    },
  })
  await client.removeSession(sessionId)
  await client.removeSession(child.sessionId)
  expect(grandchild.commit).toBe(made)
  await workbench.git(join(scene.room.dataDir, 'sessions', `${grandchild.sessionId}.git`), [
    'fsck',
    '--strict',
  ])
})

it('lets uploads expire, and mirrors that nobody uses', async () => {
  const { room } = scene
  const { uploadId } = await room.client.createUpload(OWNER)
  const { sessionId } = await scene.prepare()
  room.pass(23 * 3_600_000)
  await room.repositories.sweep()
  expect(await readdir(join(room.dataDir, 'uploads'))).toEqual([`${uploadId}.git`])
  room.pass(8 * 24 * 3_600_000)
  await room.repositories.sweep()
  expect(await readdir(join(room.dataDir, 'uploads'))).toEqual([])
  expect(await readdir(join(room.dataDir, 'mirrors'))).toHaveLength(1)
  await room.client.removeSession(sessionId)
  expect(existsSync(join(room.dataDir, 'sessions', `${sessionId}.git`))).toBe(false)
  await room.repositories.sweep()
  expect(await readdir(join(room.dataDir, 'mirrors'))).toEqual([])
})

it('borrows by relative paths', async () => {
  const { sessionId } = await scene.prepare()
  const file = join(
    scene.room.dataDir,
    'sessions',
    `${sessionId}.git`,
    'objects',
    'info',
    'alternates',
  )
  expect(await readFile(file, 'utf8')).toMatch(
    /^\.\.\/\.\.\/\.\.\/mirrors\/[0-9a-f]{40}\.git\/objects\n$/,
  )
  expect(await reasonOf(scene.room.client.sessionRefs(newSessionId()))).toBe('session_not_found')
})

it('reads the environment file of the commit, as data and bounded', async () => {
  const path = '.errand/environment.yaml'
  const { environmentFile: none } = await scene.prepare()
  expect(none).toBe(null)
  const clone = (await scene.start()).clone
  const { workbench } = scene.room
  const read = async (files: Record<string, string>) => {
    const commit = await workbench.commit(clone, files, 'change the file')
    await workbench.git(clone, [
      'push',
      '--quiet',
      scene.upstream.directory,
      'HEAD:main',
      '--force',
    ])
    const sessionId = newSessionId()
    const prepared = await scene.prepare({ sessionId })
    expect(prepared.commit).toBe(commit)
    // Asked again it is the same, although it is in no record.
    expect(await scene.prepare({ sessionId })).toEqual(prepared)
    return prepared.environmentFile
  }
  expect(await read({ [path]: 'setup: a\n' })).toEqual({ text: 'setup: a\n', truncated: false })
  const long = await read({ [path]: 'x'.repeat(100_000) })
  expect([long?.text.length, long?.truncated]).toEqual([64 * 1024, true])
})
