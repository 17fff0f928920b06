// What an owner allows beyond a session's own branch, through real git: further branches by name, and rewriting the own one.
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { NO_GRANTS, type PushGrants } from '../../protocol/session.ts'
import type { GitStart } from '../git-process.ts'
import { BRANCH, createScene, OWNER, type Scene, type StartedSession } from '../room.fixture.ts'
import { createTestUpstream } from '../upstream/upstream.fixture.ts'

let scene: Scene
let session: StartedSession

beforeEach(async () => {
  scene = await createScene()
  await inUpstream(['push', '--quiet', 'origin', 'HEAD:refs/heads/side', 'HEAD:refs/heads/other'])
  session = await scene.start()
})

afterEach(async () => {
  await scene.close()
})

const inUpstream = (args: string[]) => scene.room.workbench.git(scene.upstream.checkout, [...args])
const commit = (files: Record<string, string>) => scene.room.workbench.commit(session.clone, files)
const push = (grants: Partial<PushGrants>, ...args: string[]) => {
  const door = scene.room.door(session.sessionId, {
    grants: { branches: [], rewrite: false, ...grants },
  })
  return scene.room.workbench.run(session.clone, ['push', door, ...args])
}
const upstreamTip = (branch: string) =>
  scene.room.workbench.git(scene.upstream.directory, ['rev-parse', `refs/heads/${branch}`])
const answer = ({ exitCode, stderr }: { exitCode: number; stderr: string }) => ({
  exitCode,
  stderr,
})
const said = (words: string) => ({ exitCode: 1, stderr: expect.stringContaining(words) })
const done = { exitCode: 0, stderr: expect.anything() }

it('pushes to a branch that was granted, and to no other', async () => {
  const made = await commit({ 'a.txt': 'a\n' })
  const grants = { branches: ['side', 'main'] }
  expect(answer(await push({}, 'HEAD:side'))).toEqual(
    said(
      `its owner may allow this branch as well: errand grant ${session.sessionId.slice(0, 8)} side`,
    ),
  )
  expect(answer(await push(grants, 'HEAD:side'))).toEqual(done)
  expect(await upstreamTip('side')).toBe(made)
  expect(answer(await push(grants, 'HEAD:main'))).toEqual(done)
  for (const ref of ['other', 'sid', 'side/x', 'SIDE', 'refs/tags/side'])
    expect(answer(await push(grants, `HEAD:${ref}`)), ref).toEqual(said('was refused'))
  expect(answer(await push(grants, ':side'))).toEqual(said('no session deletes a branch'))
  await commit({ 'b.txt': 'b\n' })
  expect(answer(await push(grants, 'HEAD:side', `HEAD:${BRANCH}`))).toEqual(said('one branch'))
  expect((await scene.room.client.sessionRefs(session.sessionId)).tip).toBeNull()
  const refs = (await scene.room.observed(4)).map(({ ref, accepted, outward, reason }) => [
    ...[ref, accepted, outward, reason],
  ])
  expect(refs).toEqual([
    ['refs/heads/side', false, 'none', 'ref_not_allowed'],
    ['refs/heads/side', true, 'forwarded', null],
    ['refs/heads/main', true, 'forwarded', null],
    ['refs/heads/other', false, 'none', 'ref_not_allowed'],
  ])
  // What went there is seen there at once, by others and by the session itself.
  await scene.room.workbench.git(session.clone, ['fetch', '--quiet', 'origin'])
  expect(await scene.room.workbench.git(session.clone, ['rev-parse', 'origin/side'])).toBe(made)
})

it('keeps nothing for a branch that is not the own one, and never rewrites it', async () => {
  const grants = { branches: ['side'], rewrite: true }
  const before = await upstreamTip('side')
  await commit({ 'a.txt': 'a\n' })
  const { upstream, room } = scene
  upstream.answer = (incoming, outgoing) => {
    incoming.resume()
    outgoing.writeHead(503).end()
  }
  expect(answer(await push(grants, 'HEAD:side'))).toEqual(said('nothing is kept for it'))
  upstream.answer = upstream.serve
  expect(answer(await push(grants, 'HEAD:side'))).toEqual(done)
  await room.workbench.git(session.clone, ['reset', '--quiet', '--hard', 'HEAD~1'])
  expect(answer(await push(grants, '--force', 'HEAD:side'))).toEqual(said('may only move forward'))
  await inUpstream(['push', '--quiet', '--force', 'origin', `${before}:side`])
  await inUpstream(['commit', '--quiet', '--allow-empty', '-m', 'theirs'])
  await inUpstream(['push', '--quiet', 'origin', 'HEAD:other'])
  await commit({ 'b.txt': 'b\n' })
  expect(answer(await push({ branches: ['other'] }, 'HEAD:other'))).toEqual(
    said('errand: fetch, merge and push again; origin/other is the branch as it stands there'),
  )
})

it('rewrites its own branch only where that is allowed, and loses nothing that was never here', async () => {
  const { workbench } = scene.room
  const amend = async (message: string) => {
    await workbench.git(session.clone, ['commit', '--quiet', '--amend', '-m', message])
    return workbench.git(session.clone, ['rev-parse', 'HEAD'])
  }
  await commit({ 'a.txt': 'a\n' })
  expect(answer(await push({}, `HEAD:${BRANCH}`))).toEqual(done)
  await amend('two')
  expect(answer(await push({}, '--force', `HEAD:${BRANCH}`))).toEqual(
    said('or its owner allows to rewrite it'),
  )
  const anew = { rewrite: true }
  expect(answer(await push(anew, `HEAD:${BRANCH}`)).exitCode).toBe(1)
  const two = await workbench.git(session.clone, ['rev-parse', 'HEAD'])
  expect(answer(await push(anew, '--force', `HEAD:${BRANCH}`))).toEqual(done)
  expect(await upstreamTip(BRANCH)).toBe(two)

  // Kept while the host is down: the retry replaces what it knows, also after a second rewriting.
  scene.upstream.answer = (incoming, outgoing) => {
    incoming.resume()
    outgoing.writeHead(503).end()
  }
  await amend('three')
  expect(answer(await push(anew, '--force', `HEAD:${BRANCH}`))).toEqual({
    ...{ exitCode: 0, stderr: expect.stringContaining('kept in Errand') },
  })
  const back = await workbench.git(session.clone, ['rev-parse', 'HEAD~1'])
  expect(answer(await push(anew, '--force', `${back}:${BRANCH}`)).exitCode).toBe(0)
  scene.upstream.answer = scene.upstream.serve
  const { sessionId } = session
  scene.room.pass(10_001)
  await workbench.git(session.clone, ['fetch', '--quiet', 'origin'])
  expect((await scene.room.client.sessionRefs(sessionId)).tip).toBe(back)
  expect(await scene.room.client.forward({ sessionId })).toMatchObject({ outward: 'refused' })
  expect(await scene.room.client.forward({ sessionId, rewrite: true })).toMatchObject({
    ...{ outward: 'forwarded', commit: back },
  })

  await inUpstream(['commit', '--quiet', '--allow-empty', '-m', 'theirs'])
  await inUpstream(['push', '--quiet', '--force', 'origin', `HEAD:${BRANCH}`])
  await amend('four')
  expect(answer(await push(anew, '--force', `HEAD:${BRANCH}`))).toEqual(
    said('its branch holds commits that were never here'),
  )
})

it('goes by what was granted of an additional repository for that one alone', async () => {
  const { client, root, workbench, door, observed } = scene.room
  const { sessionId } = session
  const lib = await createTestUpstream(join(root, 'lib upstream'), { workbench })
  try {
    const asked = { sessionId, ownerId: OWNER, branch: BRANCH, repository: 'lib' }
    const source = { kind: 'remote' as const, url: lib.url }
    await client.prepareSession({ ...asked, access: 'write', source })
    const addressOf = (granted: Partial<PushGrants>, repository = 'lib') =>
      `${door(sessionId, { grants: { ...NO_GRANTS, ...granted } })}/${repository}.git`
    const clone = join(root, 'lib')
    await workbench.git(root, ['clone', '--quiet', addressOf({}), clone])
    const pushLib = async (granted: Partial<PushGrants>, ...args: string[]) =>
      answer(await workbench.run(clone, ['push', addressOf(granted), ...args]))
    const tipOf = (branch: string) => workbench.git(lib.directory, ['rev-parse', branch])

    const made = await workbench.commit(clone, { 'a.txt': 'a\n' })
    expect(await pushLib({}, 'HEAD:side')).toEqual(
      said(`errand grant ${sessionId.slice(0, 8)} side --repository lib`),
    )
    expect(await pushLib({ branches: ['side'] }, 'HEAD:side')).toEqual(done)
    expect(await tipOf('side')).toBe(made)
    expect(await pushLib({ branches: ['side'] }, 'HEAD:other')).toEqual(said('was refused'))
    expect(await pushLib({}, `HEAD:${BRANCH}`)).toEqual(done)
    await workbench.git(clone, ['commit', '--quiet', '--amend', '-m', 'two'])
    expect(await pushLib({}, '--force', `HEAD:${BRANCH}`)).toEqual(
      said('--rewrite --repository lib'),
    )
    expect(await pushLib({ rewrite: true }, '--force', `HEAD:${BRANCH}`)).toEqual(done)
    expect(await tipOf(BRANCH)).toBe(await workbench.git(clone, ['rev-parse', 'HEAD']))
    expect(
      (await observed(6)).map(({ repository, ref, accepted }) => [repository, ref, accepted]),
    ).toEqual([
      ['lib', 'refs/heads/side', false],
      ['lib', 'refs/heads/side', true],
      ['lib', 'refs/heads/other', false],
      ['lib', `refs/heads/${BRANCH}`, true],
      ['lib', `refs/heads/${BRANCH}`, false],
      ['lib', `refs/heads/${BRANCH}`, true],
    ])

    // Whatever a caller may say: what was attached for reading takes nothing.
    await client.prepareSession({ ...asked, repository: 'docs', access: 'read', source })
    const docs = addressOf({ branches: ['side'], rewrite: true }, 'docs')
    expect(await workbench.run(clone, ['push', docs, 'HEAD:side'])).toMatchObject({
      stderr: expect.stringContaining('for reading only (repository_read_only)'),
    })
    expect(await tipOf('side')).toBe(made)
  } finally {
    lib.close()
  }
})

it('sends nothing else on to the upstream, even when the hook lets everything through', async () => {
  const { room, upstream, start, close } = await createScene({
    rules: {
      refuseForSession: (updates) => updates.map(() => undefined),
      git: (git) => {
        const bare = <T extends GitStart>(call: T): T => ({
          ...call,
          settings: call.settings?.filter(([key]) => key !== 'receive.hideRefs'),
        })
        return {
          start: (call, stdio) => git.start(bare(call), stdio),
          run: (call) => git.run(bare(call)),
          text: (call) => git.text(bare(call)),
        }
      },
    },
  })
  try {
    const { clone } = await start()
    const before = await room.workbench.git(upstream.directory, ['for-each-ref'])
    await room.workbench.commit(clone, { 'a.txt': 'a\n' })
    for (const ref of ['refs/heads/other', 'refs/tags/v1', `refs/notes/${BRANCH}`])
      expect(
        answer(await room.workbench.run(clone, ['push', 'origin', `HEAD:${ref}`])),
        ref,
      ).toEqual(said(`this session may push to refs/heads/${BRANCH} only; ${ref} was refused`))
    expect(await room.workbench.git(upstream.directory, ['for-each-ref'])).toBe(before)
    expect((await room.observed(1))[0]).toMatchObject({
      ...{ accepted: false, outward: 'refused', reason: 'ref_not_allowed' },
    })
    const own = await room.workbench.run(clone, ['push', 'origin', `HEAD:refs/heads/${BRANCH}`])
    expect(answer(own)).toEqual(done)
  } finally {
    await close()
  }
})
