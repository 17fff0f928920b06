// Large files (Git LFS) as somebody who uses them every day has them: there after the checkout and on other branches, sent with
// what a turn changed, and back after a sandbox was lost. Real git and git-lfs, and an LFS server.
import { createHash, randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { gitEnvironment } from '../../../demo/repository.ts'
import { LFS_TYPE } from '../../git/lfs/lfs-messages.ts'
import { createLfsServer, type LfsServer } from '../../git/lfs/lfs-server.fixture.ts'
import {
  createTestUpstream,
  createWorkbench,
  type TestUpstream,
} from '../../git/upstream/upstream.fixture.ts'
import { createSilentLogger } from '../../lib/logger.ts'
import { runChecked } from '../../lib/process.ts'
import { withLfsReason } from '../../protocol/git-door.ts'
import { SAVED_WORK_REF } from '../../protocol/saved-refs.ts'
import { BRANCH, setupFor } from '../place.fixture.ts'
import { createSaver } from '../saving/saver.ts'
import { failOnDisk } from '../state-file.fixture.ts'
import { openStateFile } from '../state-file.ts'
import { finishWork, takeSnapshot } from '../turns/finish-work.ts'
import { type CheckoutDeps, makeCheckout, savedPlaces } from './checkout.ts'

const signal = new AbortController().signal
const content = randomBytes(70_000)
const other = randomBytes(60_000)

let root: string
let upstream: TestUpstream
let server: LfsServer
let commit: string
let deps: CheckoutDeps
let lines: string[]

const work = () => join(root, 'disk', 'workspace', 'r')
const git = async (...args: string[]) =>
  (await runChecked('git', args, { cwd: work(), env: deps.variables })).trimEnd()
const fileAt = (name: string) => readFile(join(work(), name))
const oidOf = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
const isOutside = (bytes: Buffer) => server.objects.get(oidOf(bytes))?.equals(bytes)

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'errand-large-files-'))
  server = await createLfsServer()
  const workbench = createWorkbench(root)
  upstream = await createTestUpstream(join(root, 'upstream'), { workbench })
  upstream.answer = (incoming, outgoing) =>
    incoming.url === '/project.git/info/lfs/objects/batch'
      ? void server.batch(incoming, outgoing)
      : upstream.serve(incoming, outgoing)
  const { checkout } = upstream
  const run = (...args: string[]) => workbench.git(checkout, args)
  await run('config', 'remote.origin.lfsurl', upstream.url.replace('.git', '.git/info/lfs'))
  await run('lfs', 'install', '--local')
  await run('lfs', 'track', '*.bin')
  // In version 4 of git's list only what follows this name is written of `.gitattributes`.
  commit = await workbench.commit(checkout, { '.gita': 'x', 'big.bin': content })
  await run('push', '--quiet', 'origin', 'main')
  await run('checkout', '--quiet', '-b', 'side')
  await workbench.commit(checkout, { 'side.bin': other })
  await run('push', '--quiet', 'origin', 'side')
  expect([content, other].map(isOutside)).toEqual([true, true])
  await openDisk()
})
afterEach(async () => {
  server.close()
  upstream.close()
  await rm(root, { recursive: true, force: true })
})

/** A sandbox of its own, with nothing in it. */
async function openDisk(): Promise<void> {
  const disk = join(root, 'disk')
  await rm(disk, { recursive: true, force: true })
  const gitConfigPath = join(disk, 'gitconfig')
  const setup = setupFor(commit)
  lines = []
  deps = {
    setup: { ...setup, repository: { ...setup.repository, name: 'r', url: upstream.url } },
    workspace: join(disk, 'workspace'),
    gitConfigPath,
    stateFolder: join(disk, 'state'),
    state: openStateFile(join(disk, 'state', 'state.json'), failOnDisk),
    source: upstream.url,
    variables: {
      ...gitEnvironment(),
      HOME: join(disk, 'home'),
      GIT_CONFIG_NOSYSTEM: '0',
      GIT_CONFIG_SYSTEM: gitConfigPath,
    },
  }
}

const checkOut = (isFirst = true) =>
  makeCheckout({ ...deps, isFirst }, (more) => lines.push(...more), signal)

it('are there after the checkout and on other branches, and go with what a turn changed', async () => {
  expect(await checkOut()).toBe('made')
  expect((await fileAt('big.bin')).equals(content)).toBe(true)
  expect(await git('status', '--porcelain')).toBe('')
  await git('checkout', '--quiet', 'side')
  expect((await fileAt('side.bin')).equals(other)).toBe(true)
  await git('checkout', '--quiet', BRANCH)

  const finish = { folder: work(), branch: BRANCH, baseCommit: commit, variables: deps.variables }
  const before = await takeSnapshot(finish, signal)
  const grown = randomBytes(80_000)
  await writeFile(join(work(), 'big.bin'), grown)
  // What cannot be sent keeps the commit here, which is said; the end of the next turn sends both.
  const { answer } = upstream
  const refuseWith = (body: string) => {
    upstream.answer = (incoming, outgoing) =>
      incoming.url?.includes('/info/lfs/')
        ? outgoing.writeHead(403, { 'content-type': LFS_TYPE }).end(body)
        : answer(incoming, outgoing)
  }
  const message = withLfsReason('git.example answered 401', 'lfs_credential_missing')
  const reasons = [
    ['', 'push'],
    [JSON.stringify({ message }), 'lfs_credential_missing'],
  ] as const
  for (const [body, kind] of reasons) {
    refuseWith(body)
    const failed = await finishWork(finish, { prompt: 'x', before, pushPending: true }, signal)
    expect(failed).toMatchObject({
      notices: [{ kind, text: expect.stringContaining('Large files (LFS) could not be sent.') }],
      pushPending: true,
    })
  }
  expect(await git('ls-remote', 'origin', BRANCH)).toBe('')
  upstream.answer = answer
  const now = { prompt: 'x', before: await takeSnapshot(finish, signal), pushPending: true }
  expect(await finishWork(finish, now, signal)).toMatchObject({ notices: [], pushPending: false })
  expect(isOutside(grown)).toBe(true)
  const pushed = await git('show', `origin/${BRANCH}:big.bin`)
  expect(pushed).toContain(`oid sha256:${oidOf(grown)}`)

  // A push of one's own takes them along as well.
  const own = randomBytes(50_000)
  await writeFile(join(work(), 'own.bin'), own)
  await git('add', '.')
  await git('commit', '--quiet', '-m', 'own')
  await git('push', '--quiet', 'origin', `HEAD:${BRANCH}`)
  expect(isOutside(own)).toBe(true)
})

it.each(['[index]\n\tversion = 4', '[core]\n\tsplitIndex = true'])(
  'are there also where git keeps its list of files by %j',
  async (config) => {
    await mkdir(join(root, 'disk'), { recursive: true })
    await writeFile(deps.gitConfigPath, `${config}\n`)
    expect(await checkOut()).toBe('made')
    expect((await fileAt('big.bin')).equals(content)).toBe(true)
  },
)

it('that cannot be had leave pointers, and the session goes on', async () => {
  server.objects.clear()
  expect(await checkOut()).toBe('made')
  expect((await fileAt('big.bin')).toString()).toContain(`oid sha256:${oidOf(content)}`)
  expect(lines.join('\n')).toContain('goes on without some of its large files')
  await git('checkout', '--quiet', 'side')
  expect((await fileAt('side.bin')).toString()).toContain(`oid sha256:${oidOf(other)}`)
  expect(await git('status', '--porcelain')).toBe('')

  await openDisk()
  const bin = join(root, 'disk', 'bin')
  await mkdir(bin, { recursive: true })
  await symlink((await runChecked('which', ['git'])).trim(), join(bin, 'git'))
  deps.variables = { ...deps.variables, PATH: bin }
  expect(await checkOut()).toBe('made')
  expect(lines.join('\n')).toContain('the image has no git-lfs')
})

it('come back with a lost sandbox: from outside, or as they were changed', async () => {
  await checkOut()
  const changed = randomBytes(40_000)
  await writeFile(join(work(), 'changed.bin'), changed)
  await git('add', '.')
  await git('commit', '--quiet', '-m', 'not pushed')
  const open = randomBytes(30_000)
  await writeFile(join(work(), 'open.bin'), open)
  await git('add', 'open.bin')
  const saver = createSaver({
    ...{ places: savedPlaces(deps), additional: [], state: deps.state, everyMs: 60_000 },
    ...{ report: () => undefined, log: createSilentLogger() },
  })
  await saver.save()
  await saver.stop()
  const saved = (name: string) =>
    runChecked('git', ['-C', upstream.directory, 'cat-file', '-s', `${SAVED_WORK_REF}:${name}`])
  expect(Number(await saved('big.bin'))).toBeLessThan(200)
  expect(Number(await saved('changed.bin'))).toBe(40_000)
  expect(Number(await saved('open.bin'))).toBe(30_000)

  await openDisk()
  await checkOut(false)
  expect((await fileAt('big.bin')).equals(content)).toBe(true)
  expect((await fileAt('changed.bin')).equals(changed)).toBe(true)
  expect((await fileAt('open.bin')).equals(open)).toBe(true)
  expect(await git('status', '--porcelain')).toBe('?? open.bin')
  await git('push', '--quiet', 'origin', `HEAD:${BRANCH}`)
  expect(isOutside(changed)).toBe(true)
})
