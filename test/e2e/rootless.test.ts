// The main job as an ordinary user of the machine: nothing that Errand starts is root, and root inside is not that user.
import {
  chmod,
  chown,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rm,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { createSampleRepository, gitEnvironment } from '../../demo/repository.ts'
import { runChecked, runProcess } from '../../src/lib/process.ts'
import {
  asUser,
  createUser,
  hasDelegation,
  type OrdinaryUser,
} from '../../src/sandbox/conformance/conformance-user.ts'
import { jsonOf, MAIN } from './command.ts'
import { eventsOf, type Installation, startInstallation } from './installation.ts'

const isLimited = await hasDelegation()

/** What a user has running who has logged in. */
const OF_SYSTEMD = /^(\S+\/systemd --user|\(sd-pam\)|\S+\/dbus-daemon --session)/

/** Files of a repository whose work tree is kept. */
const MANY = 200
const TAKEN = 'was taken from a layer'
/** Each costs a session; the first ones may find that it is still being made. */
const MOST_TRIES = 30

let folder: string
let repository: string

beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'errand-rootless-')))
  await chmod(folder, 0o711)
  repository = join(folder, 'cart')
  await createSampleRepository(repository)
})
afterAll(() => rm(folder, { recursive: true, force: true }))

async function addFiles(to: string): Promise<void> {
  await mkdir(join(to, 'many'))
  for (let n = 0; n < MANY; n++) await writeFile(join(to, 'many', `${n}.txt`), `${n}\n`)
  const git = (...args: string[]) => runChecked('git', args, { cwd: to, env: gitEnvironment() })
  await git('add', '--all')
  await git('commit', '--quiet', '--message', 'many')
}

async function createUserWithHome(options: { hasLoggedIn: boolean }) {
  const home = await mkdtemp(join(folder, 'home-'))
  const user = { ...(await createUser({ ...options, home })), home }
  await mkdir(join(home, 'run'), { mode: 0o700 })
  for (const path of [home, join(home, 'run')]) await chown(path, user.uid, user.gid)
  return user
}

/** Commands whose real user is one of these; of an ended process that nobody has waited for yet an empty one. */
async function commandsOf(isWanted: (uid: number) => boolean): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => Number(name) > 0)
  const found = await Promise.all(
    pids.map(async (pid) => {
      const text = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
      if (!isWanted(Number(/^Uid:\s+(\d+)/m.exec(text)?.[1] ?? -1))) return []
      const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
      return [command.replaceAll('\0', ' ')]
    }),
  )
  return found.flat()
}

describe('an ordinary user', () => {
  let user: OrdinaryUser & { home: string }
  let errand: Installation
  const isSubordinate = (uid: number) => uid >= user.firstId && uid < user.firstId + 65_536
  const ofErrand = async () => {
    const all = await commandsOf((uid) => uid === user.uid || isSubordinate(uid))
    return all.filter((command) => !OF_SYSTEMD.test(command))
  }

  beforeAll(async () => {
    user = await createUserWithHome({ hasLoggedIn: true })
    errand = await startInstallation({
      ...{ user, args: isLimited ? [] : ['--allow-unlimited'] },
      env: { ERRAND_CHECKOUT_FILES: String(MANY) },
    })
  })
  afterAll(() => user.remove())

  it('has a task done, with limits or told that there are none', async () => {
    const { id } = await errand.start(repository, 'make the failing test pass')
    const events = await errand.finish(id)
    expect(eventsOf(events, 'turn.completed')).toHaveLength(1)
    await errand.follow(id, ({ body }) => body.type === 'changes.measured')
    const state = await errand.client.getSession(id)
    expect(state).toMatchObject({
      status: 'idle',
      changes: { filesChanged: 1, insertions: 1, deletions: 1 },
    })
    expect(JSON.stringify(events)).toContain(
      `container: runc, rootless, own user namespace, seccomp, ${isLimited ? '4 GiB, 2 CPUs' : 'no limits'}`,
    )
    expect((await errand.client.getDiff(id)).patch).toContain('+  if (quantity >= DISCOUNT_FROM) {')
    expect((await commandsOf(isSubordinate)).length).toBeGreaterThan(0)
  })

  it('goes on after stop and start with what was there', async () => {
    const { id } = await errand.start(repository, 'add a function isEmpty')
    const first = await errand.finish(id)
    await errand.client.actOnSession(id, 'stop')
    const stopped = await errand.follow(
      id,
      ({ body }) => body.type === 'sandbox.stopped',
      first.at(-1)?.seq,
    )
    await errand.client.sendMessage(id, { text: 'now test it' })
    const events = await errand.finish(id, stopped.at(-1)?.seq)
    expect(eventsOf(events, 'sandbox.preparing')).toMatchObject([{ resume: true }])
    expect(eventsOf(events, 'turn.completed')).toHaveLength(1)
  })

  it('takes the work tree of a large repository from a layer that an earlier session left behind', async () => {
    const large = join(folder, 'large')
    await createSampleRepository(large)
    await addFiles(large)
    const look =
      'git status --porcelain; git ls-files many | wc -l; cat many/7.txt; stat -c %u many/7.txt'
    const run = async () => {
      const { id } = await errand.start(large, look, { kind: 'command' })
      const events = await errand.finish(id)
      const said = eventsOf(events, 'command.output').map(({ text }) => text)
      const lines = eventsOf(events, 'phase.logged').flatMap((logged) => logged.lines)
      return { id, said: said.join(''), isTaken: lines.some((line) => line.includes(TAKEN)) }
    }
    // The layer is made behind the first one's back, from its repository.
    const first = await run()
    expect(first).toMatchObject({ said: `${MANY}\n7\n0\n`, isTaken: false })
    let later = first
    for (let tries = 0; !later.isTaken && tries < MOST_TRIES; tries++) {
      later = await run()
      await errand.client.removeSession(later.id)
    }
    expect(later, errand.logged()).toMatchObject({ said: first.said, isTaken: true })
  })

  it('leaves nothing behind when it is stopped', async () => {
    await errand.stop()
    // Until process 1 of the machine has waited for it, an ended process is still listed.
    await expect.poll(ofErrand, { timeout: 20_000 }).toEqual([])
    expect(await readdir(join(user.home, 'run/errand'))).toEqual([])
  })
})

it('plays the demo, and nothing of it is left', async () => {
  const user = await createUserWithHome({ hasLoggedIn: true })
  onTestFinished(user.remove)
  const [command = '', ...args] = [...asUser(user), process.execPath, MAIN, 'demo', '--json']
  const env = { HOME: user.home, XDG_RUNTIME_DIR: join(user.home, 'run') }
  const allowed: Record<string, string> = isLimited ? {} : { ERRAND_ALLOW_UNLIMITED: '1' }
  const result = await runProcess(command, args, {
    cwd: '/',
    env: { PATH: process.env.PATH ?? '', ...env, ...allowed },
  })
  expect(result).toMatchObject({ exitCode: 0, stderr: '' })
  expect(jsonOf(result)).toMatchObject({ status: 'idle', filesChanged: 1, model: 'scripted' })
  expect(await readdir(join(user.home, '.local/share'))).toEqual([])
})

it('starts no session without limits unless it was told to', async () => {
  const user = await createUserWithHome({ hasLoggedIn: false })
  const errand = await startInstallation({ user })
  try {
    const { id } = await errand.start(repository, 'make the failing test pass')
    const events = await errand.follow(id, ({ body }) => body.type === 'session.failed')
    const failed = JSON.stringify(events.at(-1))
    expect(failed).toContain('limits_unavailable')
    expect(failed).toContain('No limit of memory, processor time or number of processes can be set')
    expect(failed).toContain('errand up --allow-unlimited')
  } finally {
    await errand.stop()
    await user.remove()
  }
})
