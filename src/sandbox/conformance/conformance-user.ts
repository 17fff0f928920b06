// An ordinary user of the machine for tests that are run as root, with as many ranges of subordinate ids as it is to have.
import { randomBytes, randomInt } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { delay } from '../../lib/deadline.ts'
import { runChecked } from '../../lib/process.ts'
import { exists } from '../files.ts'
import { RANGE_SIZE } from '../oci/id-ranges.ts'
import { userBus } from '../rootless/rootless-limits.ts'

export interface OrdinaryUser {
  name: string
  uid: number
  gid: number
  /** Of its first subordinate ids. */
  firstId: number
  remove(): Promise<void>
}

/** Above what useradd gives and below what Errand takes as root; every user has a place of its own there. */
const FIRST_ID = 0x08000000
const PLACES = 1000
const PLACE_RANGES = 16

export async function createUser({
  home = '/nonexistent',
  ranges = 1,
  hasLoggedIn = true,
} = {}): Promise<OrdinaryUser> {
  const name = `errand-t${randomBytes(3).toString('hex')}`
  await runChecked('useradd', ['--user-group', '--no-create-home', '--home-dir', home, name])
  const line = new RegExp(`^${name}:(\\d+):(\\d+)`, 'm').exec(await readFile('/etc/subuid', 'utf8'))
  if (line) {
    const given = `${line[1]}-${Number(line[1]) + Number(line[2]) - 1}`
    await runChecked('usermod', ['--del-subuids', given, '--del-subgids', given, name])
  }
  const firstId = FIRST_ID + randomInt(PLACES) * PLACE_RANGES * RANGE_SIZE
  if (ranges > 0) {
    const range = `${firstId}-${firstId + ranges * RANGE_SIZE - 1}`
    await runChecked('usermod', ['--add-subuids', range, '--add-subgids', range, name])
  }
  const [, , uid, gid] = (await runChecked('getent', ['passwd', name])).split(':').map(Number)
  if (!uid || !gid) throw new Error(`no ids for ${name}`)
  const hasSystemd = hasLoggedIn && (await hasDelegation())
  if (hasSystemd) await startSystemd(name, uid)
  return {
    ...{ name, uid, gid, firstId },
    remove: async () => {
      if (hasSystemd) await stopSystemd(name, uid)
      await runChecked('userdel', [name])
    },
  }
}

/** Whether a user of this machine has control groups of its own, by its own systemd. */
export async function hasDelegation(): Promise<boolean> {
  const needed = ['/sys/fs/cgroup/cgroup.controllers', '/run/systemd/system']
  return (await Promise.all(needed.map(exists))).every(Boolean)
}

/** As a login does. */
async function startSystemd(name: string, uid: number): Promise<void> {
  await runChecked('loginctl', ['enable-linger', name])
  while (!(await exists(userBus(uid)))) await delay(20)
}

async function stopSystemd(name: string, uid: number): Promise<void> {
  await runChecked('loginctl', ['disable-linger', name])
  await runChecked('systemctl', ['stop', `user@${uid}.service`])
}

/** What goes before a command that this user runs. */
export function asUser({ uid, gid }: OrdinaryUser): string[] {
  return ['/usr/bin/setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--init-groups', '--']
}
