// The scope of a session's pushes for real: what git itself refuses, what the upstream refuses, what is kept for later.
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chmod, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { BRANCH, createScene, type Scene, type StartedSession } from '../room.fixture.ts'

let scene: Scene
let session: StartedSession

beforeEach(async () => {
  scene = await createScene()
  await scene.room.workbench.git(scene.upstream.checkout, [
    'push',
    '--quiet',
    'origin',
    'HEAD:refs/heads/side',
  ])
  session = await scene.start()
})

afterEach(async () => {
  vi.unstubAllEnvs()
  await scene.close()
})

const push = (...args: string[]) =>
  scene.room.workbench.run(session.clone, ['push', 'origin', ...args])
const commit = (files: Record<string, string | Buffer>) =>
  scene.room.workbench.commit(session.clone, files)
const refsUpstream = () => scene.room.workbench.git(scene.upstream.directory, ['for-each-ref'])

async function expectRefused(args: string[], sentence: string): Promise<void> {
  const before = await refsUpstream()
  const tip = (await scene.room.client.sessionRefs(session.sessionId)).tip
  const { exitCode, stderr } = await push(...args)
  expect({ args, exitCode, said: stderr.includes(sentence) }, stderr).toEqual({
    args,
    exitCode: 1,
    said: true,
  })
  expect(await refsUpstream()).toBe(before)
  expect((await scene.room.client.sessionRefs(session.sessionId)).tip).toBe(tip)
}

const ONLY = `errand: this session may push to refs/heads/${BRANCH} only`

it('refuses everything but the own branch, with a sentence', async () => {
  await commit({ 'a.txt': 'a\n' })
  await scene.room.workbench.git(session.clone, ['tag', 'v1'])
  const attempts = [
    ['HEAD:main'],
    ['HEAD:refs/heads/side'],
    ['HEAD:refs/heads/new'],
    ['v1'],
    ['HEAD:refs/notes/commits'],
    ['HEAD:refs/errand/start'],
    [`HEAD:refs/heads/${BRANCH}/x`],
    [`HEAD:refs/heads/${BRANCH.toUpperCase()}`],
    [`HEAD:refs/heads/${BRANCH}x`],
    [`HEAD:refs/heads/${BRANCH}`, 'HEAD:main'],
    ['--atomic', `HEAD:refs/heads/${BRANCH}`, 'HEAD:refs/heads/other'],
    ['--force', 'HEAD:main'],
    ['--tags'],
    ['--follow-tags', 'HEAD:refs/heads/more'],
    ['HEAD:refs/replace/0123456789012345678901234567890123456789'],
  ]
  for (const args of attempts) await expectRefused(args, ONLY)
  await expectRefused(['--mirror'], ONLY)
  const observed = await scene.room.observed(attempts.length)
  expect(observed.every(({ accepted }) => !accepted)).toBe(true)
  expect(new Set(observed.map(({ reason }) => reason))).toEqual(
    new Set(['default_branch_not_allowed', 'ref_not_allowed']),
  )
  expect(observed[0]).toMatchObject({
    ...{ ref: 'refs/heads/main', outward: 'none', reason: 'default_branch_not_allowed' },
  })
  expect((await push('-o', 'ci.skip', `HEAD:refs/heads/${BRANCH}`)).stderr).toContain(
    'does not support push options',
  )
})

it('takes what a session saves, replaced as often as it likes, and sends it nowhere', async () => {
  const { room } = scene
  const saved = ['refs/errand/saved/work', 'refs/errand/saved/conversation']
  const before = await refsUpstream()
  for (const text of ['one', 'two']) {
    await commit({ 'a.txt': text })
    await room.workbench.git(session.clone, ['commit', '--quiet', '--amend', '-m', text])
    const pushed = await push('--force', ...saved.map((ref) => `HEAD:${ref}`))
    expect(pushed.exitCode, pushed.stderr).toBe(0)
    await room.workbench.git(session.clone, ['reset', '--quiet', '--hard', session.commit])
  }
  expect(await refsUpstream()).toBe(before)
  expect((await room.client.sessionRefs(session.sessionId)).tip).toBeNull()
  const listed = await room.workbench.git(session.clone, [
    'ls-remote',
    'origin',
    'refs/errand/saved/*',
  ])
  expect(listed.trim().split('\n').length).toBe(2)
  for (const ref of saved) await expectRefused([`:${ref}`], `errand: ${ref} may not be deleted`)
  const others = ['work/x', 'other', 'workx', 'Work']
  for (const name of others) await expectRefused([`HEAD:refs/errand/saved/${name}`], ONLY)
  const blob = await room.workbench.git(session.clone, ['rev-parse', 'HEAD^{tree}'])
  await expectRefused(['--force', `${blob.trim()}:${saved[0]}`], 'must point to a commit')
  await commit({ 'b.txt': 'b\n' })
  const together = await push(`HEAD:refs/heads/${BRANCH}`, `+HEAD:${saved[0]}`)
  expect(together.exitCode, together.stderr).toBe(0)
  const observed = await room.observed(saved.length + others.length + 2)
  expect(observed.filter(({ accepted }) => accepted)).toMatchObject([
    { ref: `refs/heads/${BRANCH}`, outward: 'forwarded' },
  ])
})

it('refuses to delete, to go back, and to point a branch at what is no commit', async () => {
  await commit({ 'a.txt': 'a\n' })
  expect((await push(BRANCH)).exitCode).toBe(0)
  await expectRefused([`:refs/heads/${BRANCH}`], `errand: refs/heads/${BRANCH} may not be deleted`)
  await expectRefused([':main'], 'remote ref does not exist')
  await scene.room.workbench.git(session.clone, ['commit', '--quiet', '--amend', '-m', 'other'])
  await expectRefused(['--force', BRANCH], 'may only move forward')
  await scene.room.workbench.git(session.clone, ['tag', '-a', '-m', 'x', 'annotated', 'HEAD'])
  await expectRefused(['--force', `annotated:refs/heads/${BRANCH}`], 'must point to a commit')
  expect(await scene.room.observed(4)).toMatchObject([
    { accepted: true },
    { reason: 'deletion_refused' },
    { reason: 'not_fast_forward' },
    { reason: 'not_a_commit' },
  ])
})

it('enforces the scope without the hook as well', async () => {
  await commit({ 'a.txt': 'a\n' })
  const hook = join(scene.room.dataDir, 'hooks', 'pre-receive')
  await chmod(hook, 0o755)
  await writeFile(hook, '#!/bin/sh\nexit 0\n')
  for (const ref of ['main', 'side', 'new', 'refs/tags/t'])
    expect((await push(`HEAD:${ref}`)).stderr).toContain('deny updating a hidden ref')
})

it('does not listen to the configuration of the host', async () => {
  const { room } = scene
  const marker = join(room.root, 'was-here')
  const evil = join(room.root, 'evil')
  await mkdir(evil)
  for (const name of [
    'pre-receive',
    'update',
    'post-receive',
    'reference-transaction',
    'post-update',
  ]) {
    await writeFile(join(evil, name), `#!/bin/sh\ntouch '${marker}'\nexit 0\n`)
    await chmod(join(evil, name), 0o755)
  }
  const config = `[core]\n\thooksPath = ${evil}\n\tsshCommand = touch '${marker}'\n[uploadpack]\n\tpackObjectsHook = ${evil}/update\n[receive]\n\thideRefs = !refs/\n[url "file:///etc"]\n\tinsteadOf = http\n[alias]\n\treceive-pack = !touch '${marker}'\n`
  for (const home of [join(room.root, 'home'), join(room.dataDir, 'home')]) {
    await mkdir(join(home, '.config', 'git'), { recursive: true })
    if (!home.startsWith(room.dataDir)) continue
    await writeFile(join(home, '.gitconfig'), config)
    await writeFile(join(home, '.config', 'git', 'config'), config)
  }
  vi.stubEnv('GIT_CONFIG_GLOBAL', join(room.dataDir, 'home', '.gitconfig'))
  vi.stubEnv('GIT_EXEC_PATH', evil)
  await commit({ 'a.txt': 'a\n' })
  await expectRefused(['HEAD:main'], ONLY)
  await expectRefused([`HEAD:refs/heads/${BRANCH}/deeper`], ONLY)
  const accepted = await push(BRANCH)
  expect(accepted.exitCode, accepted.stderr).toBe(0)
  expect(await readdir(room.root)).not.toContain('was-here')
})

it('shows the words of an upstream that refuses, and takes nothing', async () => {
  await scene.upstream.refusePushes('GH006: Protected branch update failed')
  await commit({ 'a.txt': 'a\n' })
  await expectRefused([BRANCH], 'remote: GH006: Protected branch update failed')
  const [observed] = await scene.room.observed(1)
  expect(observed).toMatchObject({
    accepted: false,
    reason: 'upstream_refused',
    outward: 'refused',
  })
  expect(observed?.message).toContain('GH006')
})

it('keeps the commits while the upstream is down, and forwards them later', async () => {
  const { upstream, room } = scene
  const made = await commit({ 'a.txt': 'a\n' })
  upstream.answer = (incoming, outgoing) => {
    incoming.resume()
    outgoing.writeHead(503).end()
  }
  const { exitCode, stderr } = await push(BRANCH)
  expect(exitCode, stderr).toBe(0)
  expect(stderr).toContain('errand: the commits are kept in Errand')
  expect(await room.observed(1)).toMatchObject([
    { accepted: true, outward: 'kept', reason: 'upstream_unreachable' },
  ])
  const { sessionId } = session
  expect(await room.client.forward({ sessionId })).toMatchObject({
    outward: 'kept',
    reason: 'upstream_unreachable',
  })
  upstream.answer = upstream.serve
  expect(await room.client.forward({ sessionId })).toMatchObject({
    outward: 'forwarded',
    commit: made,
    reason: null,
  })
  expect(await room.workbench.git(upstream.directory, ['rev-parse', BRANCH])).toBe(made)
})

it('keeps the commits while another push of the branch has not ended at the upstream', async () => {
  const { upstream, room } = scene
  const made = await commit({ 'a.txt': 'a\n' })
  const lock = join(upstream.directory, `refs/heads/${BRANCH}.lock`)
  await mkdir(dirname(lock), { recursive: true })
  await writeFile(lock, '')
  const { exitCode, stderr } = await push(BRANCH)
  expect(exitCode, stderr).toBe(0)
  expect(await room.observed(1)).toMatchObject([
    { accepted: true, outward: 'kept', reason: 'upstream_ref_busy' },
  ])
  await rm(lock)
  const { sessionId } = session
  expect(await room.client.forward({ sessionId })).toMatchObject({
    ...{ outward: 'forwarded', commit: made },
  })
})

const BROKEN: [string, () => void | Promise<void>][] = [
  ['its hooks', () => scene.upstream.refusePushes('Gitea: Internal Server Error')],
  ['its refs', () => answerPushes(`ng refs/heads/${BRANCH} Internal Server Error\n`)],
]
it.each(BROKEN)(
  'keeps the commits while the upstream has an error of its own in %s',
  async (_, breakIt) => {
    const { upstream, room } = scene
    const made = await commit({ 'a.txt': 'a\n' })
    await breakIt()
    const { exitCode, stderr } = await push(BRANCH)
    expect(exitCode, stderr).toBe(0)
    expect(stderr).toContain('errand: the commits are kept in Errand')
    expect(await room.observed(1)).toMatchObject([
      { accepted: true, outward: 'kept', reason: 'upstream_broken' },
    ])
    const { sessionId } = session
    expect(await room.client.forward({ sessionId })).toMatchObject({ outward: 'kept' })
    upstream.answer = upstream.serve
    await rm(join(upstream.directory, 'hooks', 'pre-receive'), { force: true })
    expect(await room.client.forward({ sessionId })).toMatchObject({
      ...{ outward: 'forwarded', commit: made },
    })
  },
)

it('keeps nothing for later that is larger than the upstream ever takes, and says so', async () => {
  const { upstream, room } = scene
  await commit({ 'a.txt': 'a\n' })
  upstream.answer = (incoming, outgoing) => {
    if (incoming.method !== 'POST') return upstream.serve(incoming, outgoing)
    incoming.resume()
    outgoing.writeHead(413).end()
  }
  await expectRefused(
    [BRANCH],
    'errand: the repository refused the push: The host takes no push of this size',
  )
  expect(await room.observed(1)).toMatchObject([
    { accepted: false, outward: 'refused', reason: 'upstream_too_large' },
  ])
})

it('waits five seconds for the upstream and no longer', async () => {
  scene.upstream.answer = (incoming) => incoming.resume()
  await commit({ 'a.txt': 'a\n' })
  const startedAt = performance.now()
  const { exitCode, stderr } = await push(BRANCH)
  expect(exitCode, stderr).toBe(0)
  expect(performance.now() - startedAt).toBeGreaterThan(4_900)
  expect(performance.now() - startedAt).toBeLessThan(9_000)
  expect(await scene.room.observed(1)).toMatchObject([
    { outward: 'kept', reason: 'upstream_timeout' },
  ])
})

it('tells how to go on when the branch moved on upstream', async () => {
  const { upstream, room } = scene
  await room.workbench.git(upstream.checkout, ['checkout', '--quiet', '-b', BRANCH])
  await room.workbench.commit(upstream.checkout, { 'b.txt': 'b\n' })
  await room.workbench.git(upstream.checkout, ['push', '--quiet', 'origin', BRANCH])
  await commit({ 'a.txt': 'a\n' })
  await expectRefused([BRANCH], 'errand: fetch, merge and push again')
  await room.workbench.git(session.clone, ['fetch', '--quiet', 'origin'])
  await room.workbench.git(session.clone, ['merge', '--quiet', '-m', 'merge', `origin/${BRANCH}`])
  expect((await push(BRANCH)).exitCode).toBe(0)
})

it('refuses a push where the caller may only read', async () => {
  const door = scene.room.door(session.sessionId, { readOnly: true })
  await scene.room.workbench.git(session.clone, ['fetch', '--quiet', door])
  const { exitCode, stderr } = await scene.room.workbench.run(session.clone, [
    'push',
    door,
    `HEAD:${BRANCH}`,
  ])
  expect({ exitCode, stderr }).toMatchObject({
    exitCode: 128,
    stderr: expect.stringContaining('read-only here'),
  })
})

it('says so when a push is too large', async () => {
  const small = await createScene({ maxPushBytes: 4 << 20 })
  const { clone } = await small.start()
  await small.room.workbench.commit(clone, { 'big.bin': randomBytes(20 << 20) })
  const { exitCode, stderr } = await small.room.workbench.run(clone, ['push', 'origin', BRANCH])
  expect({ exitCode, stderr }).toMatchObject({
    exitCode: 1,
    stderr: expect.stringContaining('pack exceeds maximum allowed size'),
  })
  await small.close()
})

it('takes 30 MB, sends little for a first push, and reads gzip', async () => {
  const { room } = scene
  await commit({ 'big.bin': randomBytes(30 << 20) })
  const { exitCode, stderr } = await push(BRANCH)
  expect(exitCode, stderr).toBe(0)
  expect(await room.observed(1)).toMatchObject([{ accepted: true }])
  const body = gzipSync('0014command=ls-refs\n0000')
  const url = `${room.door(session.sessionId)}/git-upload-pack`
  const headers = { 'content-encoding': 'gzip', 'git-protocol': 'version=2' }
  const answer = await new Promise<string>((resolve, reject) => {
    const outgoing = request(url, { method: 'POST', headers }, (response) => {
      let text = ''
      response.on('data', (chunk) => {
        text += chunk
      })
      response.on('end', () => resolve(text))
    })
    outgoing.on('error', reject)
    outgoing.end(body)
  })
  expect(answer).toContain(`refs/heads/${BRANCH}`)
})

it('ends git when the client goes away', async () => {
  const { room } = scene
  const directory = join(room.dataDir, 'sessions', `${session.sessionId}.git`)
  const outgoing = request(`${room.door(session.sessionId)}/git-receive-pack`, { method: 'POST' })
  const gone = once(outgoing, 'error')
  const line = `${'0'.repeat(40)} ${session.commit} refs/heads/${BRANCH}\0 report-status`
  outgoing.write(`${(line.length + 4).toString(16).padStart(4, '0')}${line}0000PACK`)
  await until(() => gitRunsIn(directory))
  outgoing.destroy(new Error('gone'))
  await gone
  await until(async () => !(await gitRunsIn(directory)))
  expect((await room.client.sessionRefs(session.sessionId)).tip).toBe(null)
})

/** The upstream takes in every pack, and then says this of its refs. */
function answerPushes(status: string): void {
  const { upstream } = scene
  const line = (text: string) => `${(text.length + 4).toString(16).padStart(4, '0')}${text}`
  upstream.answer = (incoming, outgoing) => {
    if (incoming.method !== 'POST') return upstream.serve(incoming, outgoing)
    incoming.resume().once('end', () => {
      outgoing.setHeader('content-type', 'application/x-git-receive-pack-result')
      outgoing.end(`${line(`\u0001${line('unpack ok\n')}${line(status)}0000`)}0000`)
    })
  }
}

async function until(done: () => Promise<boolean>): Promise<void> {
  const endAt = performance.now() + 20_000
  while (!(await done())) {
    if (performance.now() > endAt) throw new Error('it did not come to that')
    await new Promise((resolve) => setImmediate(resolve))
  }
}

async function gitRunsIn(directory: string): Promise<boolean> {
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    if (line.includes(directory)) return true
  }
  return false
}
