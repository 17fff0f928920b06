// Which limits an ordinary user can set: those whose controllers systemd has handed to the user's own part of the control
// groups (version 2). The runtime asks the user's systemd for a scope of each sandbox. Without them nothing keeps a
// sandbox from taking all memory, processor time and processes that the user may have.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError } from '../../protocol/errors.ts'
import { exists, orWhenMissing } from '../files.ts'

export interface DelegationFacts {
  /** Version 2 alone, not beside version 1. */
  isUnified: boolean
  /** Of the user's systemd; undefined where it has no control group. */
  controllers: string[] | undefined
  hasBus: boolean
}

const NEEDED = { memory: 'memory', cpu: 'processor time', pids: 'number of processes' }
const DELEGATE =
  'sudo mkdir -p /etc/systemd/system/user@.service.d && printf "[Service]\\nDelegate=cpu memory pids\\n" | sudo tee /etc/systemd/system/user@.service.d/delegate.conf && sudo systemctl daemon-reload, and log in again'
const UNIFIED = 'start the machine with systemd.unified_cgroup_hierarchy=1'
const BUS = 'install dbus-user-session and log in again'

export function userControlGroup(uid: number): string {
  return `/sys/fs/cgroup/user.slice/user-${uid}.slice/user@${uid}.service`
}

export function userBus(uid: number): string {
  return `/run/user/${uid}/bus`
}

export async function readDelegation(uid: number): Promise<DelegationFacts> {
  const path = join(userControlGroup(uid), 'cgroup.controllers')
  const text = await orWhenMissing<string | undefined>(undefined, readFile(path, 'utf8'))
  return {
    isUnified: await exists('/sys/fs/cgroup/cgroup.controllers'),
    controllers: text?.trim().split(/\s+/),
    hasBus: await exists(userBus(uid)),
  }
}

/** Undefined when every limit can be had. */
export function missingLimits({ isUnified, controllers, hasBus }: DelegationFacts) {
  const names = Object.entries(NEEDED)
    .filter(([name]) => !isUnified || !hasBus || !controllers?.includes(name))
    .map(([, name]) => name)
  if (names.length === 0) return undefined
  const mend = !isUnified ? UNIFIED : controllers && hasBus ? DELEGATE : BUS
  const why = isUnified
    ? 'systemd has not delegated control groups to this user'
    : 'this machine does not use control groups of version 2 alone'
  return { names: listOf(names), why, mend }
}

/** Undefined when every limit can be had. */
export function limitsRefusal(facts: DelegationFacts): AppError | undefined {
  const missing = missingLimits(facts)
  if (!missing) return undefined
  const { names, why, mend } = missing
  const message = `No limit of ${names} can be set as an ordinary user, because ${why}: ${mend}. Or start Errand as root, or run sandboxes without limits: errand up --allow-unlimited (ERRAND_ALLOW_UNLIMITED=1).`
  return new AppError('unsupported', 'limits_unavailable', message)
}

function listOf(names: string[]): string {
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} or ${names.at(-1)}`
}
