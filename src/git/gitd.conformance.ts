// What is left after gitd was killed in the middle of something, and what its next start makes of it.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chown,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { runChecked } from '../lib/process.ts'
import { createGitClient, type GitClient } from './client.ts'
import { leftoverProcesses } from './leftovers.ts'
import { BRANCH, createDoor, newSessionId, OWNER, PATH, type TestDoor } from './room.fixture.ts'
import type { Observation } from './serving/observations.ts'
import {
  createTestUpstream,
  createWorkbench,
  type TestUpstream,
  type Workbench,
} from './upstream/upstream.fixture.ts'

const PROGRAM = fileURLToPath(new URL('./program.fixture.ts', import.meta.url))
/** Any unprivileged user: the suite runs as root, the program never does. */
const UID = 65534

let root: string
let workbench: Workbench
let upstream: TestUpstream
let client: GitClient
let door: TestDoor
let program: ChildProcess
let dataDir: string
let socketPath: string

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'errand-gitd-'))
  dataDir = join(root, 'git')
  for (const name of ['git', 'run', 'home', 'upstream']) await mkdir(join(root, name))
  for (const folder of ['.', 'git', 'run']) await chown(join(root, folder), UID, UID)
  workbench = createWorkbench(join(root, 'home'))
  upstream = await createTestUpstream(join(root, 'upstream'), { workbench })
  socketPath = join(root, 'run', 'gitd.sock')
  program = await startProgram()
  client = createGitClient(socketPath)
  door = await createDoor(socketPath)
})

afterEach(async () => {
  program.kill('SIGKILL')
  door.close()
  upstream.close()
  await rm(root, { recursive: true, force: true })
})

async function startProgram(): Promise<ChildProcess> {
  await rm(socketPath, { force: true })
  const child = spawn(process.execPath, ['--no-warnings', PROGRAM, dataDir, socketPath, PATH], {
    stdio: ['ignore', 'pipe', 'inherit'],
    uid: UID,
    gid: UID,
    env: {},
    cwd: '/',
  })
  const [said] = await once(child.stdout, 'data')
  expect(String(said)).toBe('ready\n')
  return child
}

async function killProgram(): Promise<void> {
  const exited = once(program, 'exit')
  program.kill('SIGKILL')
  await exited
}

const request = () => ({
  sessionId: newSessionId(),
  ownerId: OWNER,
  branch: BRANCH,
  source: { kind: 'remote' as const, url: upstream.url },
})

it('opens its folders to nobody, and is missed when it is gone', async () => {
  for (const name of await readdir(dataDir))
    expect((await stat(join(dataDir, name))).mode & 0o077).toBe(0)
  await killProgram()
  await expect(client.sessionRefs(newSessionId())).rejects.toMatchObject({
    reason: 'gitd_unavailable',
  })
})

it('prepares again after it was killed in the middle of a fetch, and no git lives on', async () => {
  const asked = Promise.withResolvers<void>()
  // Which branch it begins with, and the fetch, which comes once the mirror is there.
  let waiting = 0
  upstream.answer = (incoming, outgoing) => {
    if (incoming.method === 'GET') upstream.serve(incoming, outgoing)
    else if (++waiting === 2) asked.resolve()
  }
  const wanted = request()
  const lost = client.prepareSession(wanted).catch((error) => error)
  await asked.promise
  await killProgram()
  expect(await lost).toBeInstanceOf(Error)
  const [mirror = ''] = await readdir(join(dataDir, 'mirrors'))
  await writeFile(join(dataDir, 'mirrors', mirror, 'packed-refs.lock'), '')
  await writeFile(join(dataDir, 'tmp', 'left'), '')
  upstream.answer = upstream.serve
  program = await startProgram()
  expect(await leftoverProcesses(join(dataDir, 'home'))).toEqual([])
  expect(await readdir(join(dataDir, 'tmp'))).toEqual([])
  expect(await client.prepareSession(wanted)).toMatchObject({ name: 'project', baseBranch: 'main' })
})

it('starts although something else lies where a mirror should be, and keeps that', async () => {
  await client.prepareSession(request())
  await killProgram()
  const mirrors = join(dataDir, 'mirrors')
  const [name = ''] = await readdir(mirrors)
  await rm(join(mirrors, name), { recursive: true })
  await writeFile(join(mirrors, name), 'a note')
  await symlink('/nowhere', join(dataDir, 'sessions', 'link'))
  program = await startProgram()
  expect((await client.prepareSession(request())).branch).toBe(BRANCH)
  const aside = await readdir(join(dataDir, 'aside'))
  expect(aside.map((one) => one.replace(/-\d+$/, '')).toSorted()).toEqual([
    `mirrors-${name}`,
    'sessions-link',
  ])
  const [note = ''] = aside.filter((one) => one.startsWith('mirrors-'))
  expect(await readFile(join(dataDir, 'aside', note), 'utf8')).toBe('a note')
})

it('goes on where branches are empty files, as a machine leaves them that lost its power', async () => {
  const wanted = request()
  const { sessionId } = wanted
  await client.prepareSession(wanted)
  await killProgram()
  program = await startProgram()
  const made = await workbench.commit(upstream.checkout, { 'new.txt': 'new\n' })
  await workbench.git(upstream.checkout, ['push', '--quiet', 'origin', 'main'])
  const clone = join(root, 'clone')
  await workbench.git(root, ['clone', '--quiet', door.url(sessionId), clone])
  await killProgram()
  const [mirror = ''] = await readdir(join(dataDir, 'mirrors'))
  for (const repository of [`mirrors/${mirror}`, `sessions/${sessionId}.git`])
    await truncate(join(dataDir, repository, 'refs/heads/main'))
  program = await startProgram()
  expect((await client.prepareSession(request())).commit).toBe(made)
  await workbench.git(clone, ['checkout', '--quiet', '-b', BRANCH])
  await workbench.commit(clone, { 'a.txt': 'a\n' })
  await workbench.git(clone, ['push', '--quiet', 'origin', BRANCH])
  await workbench.git(clone, ['fetch', '--quiet', 'origin'])
  expect(await workbench.git(clone, ['rev-parse', 'origin/main'])).toBe(made)
})

it('loses no observation when it is killed, and forgets what was acknowledged', async () => {
  const wanted = request()
  const { commit } = await client.prepareSession(wanted)
  const clone = join(root, 'clone')
  await workbench.git(root, ['clone', '--quiet', door.url(wanted.sessionId), clone])
  await workbench.git(clone, ['checkout', '--quiet', '-b', BRANCH, commit])
  await workbench.commit(clone, { 'a.txt': 'a\n' })
  await workbench.git(clone, ['push', '--quiet', 'origin', BRANCH])
  await workbench.run(clone, ['push', '--quiet', 'origin', 'HEAD:main'])
  await killProgram()
  program = await startProgram()
  const seen = await take(client.observations(0, new AbortController().signal), 2)
  expect(seen.map(({ n, accepted }) => ({ n, accepted }))).toEqual([
    { n: 1, accepted: true },
    { n: 2, accepted: false },
  ])
  await client.acknowledgeObservations(2)
  await killProgram()
  program = await startProgram()
  await workbench.run(clone, ['push', '--quiet', 'origin', 'HEAD:main'])
  expect(await take(client.observations(0, new AbortController().signal), 1)).toMatchObject([
    { n: 3 },
  ])
})

it('reports a push whose end it did not live to see', async () => {
  const wanted = request()
  const { commit } = await client.prepareSession(wanted)
  await killProgram()
  const push = {
    kind: 'push',
    sessionId: wanted.sessionId,
    ref: `refs/heads/${BRANCH}`,
    old: '0'.repeat(40),
    new: commit,
  }
  const pending = join(dataDir, 'sessions', `${wanted.sessionId}.git`, 'errand-push.json')
  await writeFile(
    pending,
    JSON.stringify({ ...push, accepted: true, reason: null, outward: 'forwarded', message: '' }),
  )
  await chown(pending, UID, UID)
  program = await startProgram()
  const [seen] = await take(client.observations(0, new AbortController().signal), 1)
  expect(seen).toMatchObject({ accepted: false, reason: 'ref_not_written' })
})

it('starts though it cannot read what it noted of one session, and loses no push that it could not record', async () => {
  const [damaged, wanted] = [request(), request()]
  await client.prepareSession(damaged)
  const { commit } = await client.prepareSession(wanted)
  const folder = (sessionId: string) => join(dataDir, 'sessions', `${sessionId}.git`)
  await writeFile(join(folder(damaged.sessionId), 'errand.json'), '{')
  await killProgram()
  program = await startProgram()
  // As the first of two pushes leaves it when the disk was full after git had written the branch.
  const pending = join(folder(wanted.sessionId), 'errand-push.json')
  const push = { kind: 'push', ref: `refs/heads/${BRANCH}`, old: '0'.repeat(40), new: commit }
  const said = { accepted: true, reason: null, outward: 'forwarded', message: 'the first' }
  await writeFile(pending, JSON.stringify({ ...push, ...said, sessionId: wanted.sessionId }))
  await chown(pending, UID, UID)
  const clone = join(root, 'clone of two')
  await workbench.git(root, ['clone', '--quiet', door.url(wanted.sessionId), clone])
  await workbench.git(clone, ['checkout', '--quiet', '-b', BRANCH, commit])
  await workbench.commit(clone, { 'b.txt': 'b\n' })
  await workbench.git(clone, ['push', '--quiet', 'origin', BRANCH])
  const seen = await take(client.observations(0, new AbortController().signal), 2)
  expect(seen.map(({ message, reason }) => [message, reason])).toEqual([
    ['git could not write the branch.', 'ref_not_written'],
    ['', null],
  ])
})

describe('a disk that is full', () => {
  beforeEach(async () => {
    await killProgram()
    await runChecked('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'errand-test', dataDir])
    await chown(dataDir, UID, UID)
    program = await startProgram()
  })
  afterEach(async () => {
    await killProgram()
    await runChecked('umount', ['--lazy', dataDir])
  })

  it('keeps gitd from no start: it lets read, and says what keeps it from writing', async () => {
    const wanted = request()
    const { commit } = await client.prepareSession(wanted)
    const clone = join(root, 'clone')
    await workbench.git(root, ['clone', '--quiet', door.url(wanted.sessionId), clone])
    await workbench.git(clone, ['push', '--quiet', 'origin', `${commit}:refs/heads/${BRANCH}`])
    await killProgram()
    const filling = writeFile(join(dataDir, 'filled'), Buffer.alloc(32 << 20))
    await expect(filling).rejects.toMatchObject({ code: 'ENOSPC' })
    program = await startProgram()
    expect((await client.sessionRefs(wanted.sessionId)).start).toBe(commit)
    await workbench.git(root, ['clone', '--quiet', door.url(wanted.sessionId), `${clone} 2`])
    const seen = await take(client.observations(0, new AbortController().signal), 1)
    expect(seen).toMatchObject([{ n: 1, accepted: true }])
    await expect(client.prepareSession(request())).rejects.toMatchObject({
      code: 'no_space',
      reason: 'disk_full',
    })
    await workbench.commit(clone, { 'a.txt': 'a\n' })
    const push = ['push', '--quiet', 'origin', `HEAD:refs/heads/${BRANCH}`]
    expect((await workbench.run(clone, push)).stderr).toMatch(/no space left/i)
    await rm(join(dataDir, 'filled'))
    expect((await workbench.run(clone, push)).exitCode).toBe(0)
    const both = await take(client.observations(0, new AbortController().signal), 2)
    expect(both.at(-1)).toMatchObject({ n: 2, accepted: true })
  })
})

async function take(
  observations: AsyncGenerator<Observation>,
  count: number,
): Promise<Observation[]> {
  const taken: Observation[] = []
  for await (const observation of observations) {
    taken.push(observation)
    if (taken.length === count) break
  }
  return taken
}
