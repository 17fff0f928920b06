// Why an ordinary user can have no sandbox on this machine, in a sentence with the command that mends it. Looked at only
// after a trial has failed: what a distribution restricts shows in the trial, not in its version.
import { readFile, stat } from 'node:fs/promises'
import { AppError } from '../../protocol/errors.ts'
import { orWhenMissing } from '../files.ts'

export interface RootlessFacts {
  user: string
  /** Numbers in /proc/sys; undefined where the kernel has no such switch. */
  maxUserNamespaces: number | undefined
  usernsClone: number | undefined
  apparmorRestrict: number | undefined
  /** How many sandboxes can have ids of their own. */
  slices: number
  /** The lowest id from which on nobody has subordinate ids. */
  firstFreeId: number
  mappers: { name: string; state: 'ok' | 'missing' | 'not setuid' }[]
  /** What the trial said. */
  failure: string
}

const TOOLS = ['newuidmap', 'newgidmap']
const FOLDERS = ['/usr/bin', '/bin', '/usr/local/bin', '/usr/sbin', '/sbin']

export async function readSwitches() {
  const [maxUserNamespaces, usernsClone, apparmorRestrict] = await Promise.all(
    [
      'user/max_user_namespaces',
      'kernel/unprivileged_userns_clone',
      'kernel/apparmor_restrict_unprivileged_userns',
    ].map(async (name) => {
      const path = `/proc/sys/${name}`
      const text = await orWhenMissing<string | undefined>(undefined, readFile(path, 'utf8'))
      return text === undefined ? undefined : Number(text)
    }),
  )
  const mappers = await Promise.all(
    TOOLS.map(async (name) => ({ name, state: await stateOf(name) })),
  )
  return { maxUserNamespaces, usernsClone, apparmorRestrict, mappers }
}

/** File capabilities may stand in for the setuid bit, so this tells something only when the trial has failed. */
async function stateOf(name: string): Promise<'ok' | 'missing' | 'not setuid'> {
  const found = await Promise.all(
    FOLDERS.map((folder) => orWhenMissing(undefined, stat(`${folder}/${name}`))),
  )
  const first = found.find((stats) => stats !== undefined)
  if (!first) return 'missing'
  return first.uid === 0 && (first.mode & 0o4000) !== 0 ? 'ok' : 'not setuid'
}

export function rootlessRefusal(facts: RootlessFacts): AppError {
  const [reason, message] = explain(facts)
  return new AppError(
    'unsupported',
    reason,
    `${message} Or start Errand as root: sudo ./errand up.`,
  )
}

function explain(facts: RootlessFacts): [reason: string, message: string] {
  const missing = facts.mappers.find(({ state }) => state === 'missing')
  if (facts.maxUserNamespaces === 0)
    return off('rootless_userns_off', 'user.max_user_namespaces=15000')
  if (facts.usernsClone === 0)
    return off('rootless_userns_restricted', 'kernel.unprivileged_userns_clone=1')
  if (missing)
    return [
      'rootless_newuidmap_missing',
      `${missing.name} is not installed; sandboxes of an ordinary user need it: sudo apt-get install uidmap (package shadow-utils or shadow elsewhere).`,
    ]
  if (facts.slices === 0) return noIds(facts)
  if (facts.apparmorRestrict === 1)
    return off('rootless_apparmor', 'kernel.apparmor_restrict_unprivileged_userns=0')
  const plain = facts.mappers.find(({ state }) => state === 'not setuid')
  if (plain)
    return [
      'rootless_newuidmap_not_setuid',
      `${plain.name} may not map ids, because it is not setuid root: sudo chmod u+s $(command -v newuidmap newgidmap).`,
    ]
  if (/overlay/.test(facts.failure))
    return [
      'rootless_overlay_unavailable',
      `The kernel lets an ordinary user mount no overlay on the data folder (${facts.failure}): use Linux 5.11 or newer and a data folder (--data) on a local file system such as ext4, xfs or btrfs.`,
    ]
  return ['rootless_failed', `A user namespace of our own does not work here: ${facts.failure}.`]
}

function off(reason: string, setting: string): [string, string] {
  return [
    reason,
    `This machine restricts the user namespaces of ordinary users, which sandboxes need: echo ${setting} | sudo tee /etc/sysctl.d/60-errand.conf && sudo sysctl --system.`,
  ]
}

function noIds({ user, firstFreeId }: RootlessFacts): [string, string] {
  const range = `${firstFreeId}-${firstFreeId + 65_535}`
  return [
    'rootless_no_subordinate_ids',
    `The user ${user} has no 65,536 subordinate ids in /etc/subuid and /etc/subgid: sudo usermod --add-subuids ${range} --add-subgids ${range} ${user}.`,
  ]
}
