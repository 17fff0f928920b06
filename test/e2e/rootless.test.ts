// The main job as an ordinary user of the machine: nothing that Errand starts is root, and root inside is not that user.
import { chmod, chown, mkdir, mkdtemp, readdir, readFile, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSampleRepository } from '../../demo/repository.ts'
import { createUser, type OrdinaryUser } from '../../src/sandbox/conformance-user.ts'
import { eventsOf, type Installation, startInstallation } from './installation.ts'

let folder: string
let repository: string
let user: OrdinaryUser & { home: string }

beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'errand-rootless-')))
  await chmod(folder, 0o711)
  repository = join(folder, 'cart')
  await createSampleRepository(repository)
  const home = join(folder, 'home')
  user = { ...(await createUser({ home })), home }
  for (const path of [home, join(home, 'run')]) {
    await mkdir(path, { mode: 0o700 })
    await chown(path, user.uid, user.gid)
  }
})
afterAll(async () => {
  await user.remove()
  await rm(folder, { recursive: true, force: true })
})

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
const isSubordinate = (uid: number) => uid >= user.firstId && uid < user.firstId + 65_536

describe('an ordinary user', () => {
  let errand: Installation

  beforeAll(async () => {
    errand = await startInstallation({ user, args: ['--allow-unlimited'] })
  })
  it('has a task done, without limits and told so', async () => {
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
      'container: runc, rootless, own user namespace, seccomp, no limits',
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

  it('leaves nothing behind when it is stopped', async () => {
    await errand.stop()
    // What the kernel has been told to end may take a moment.
    await expect.poll(() => commandsOf((uid) => uid === user.uid || isSubordinate(uid))).toEqual([])
    expect(await readdir(join(user.home, 'run/errand'))).toEqual([])
  })
})

it('starts no session without limits unless it was told to', async () => {
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
  }
})
