// Control groups of a sandbox, in version 1, 2 or both side by side. The runtime makes them; this knows where they are and
// removes what the runtime left.
import { readdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { delay } from '../../lib/deadline.ts'
import { exists, ignoreMissing, orWhenMissing } from '../files.ts'
import { userControlGroup } from '../rootless/rootless-limits.ts'

const ROOT = '/sys/fs/cgroup'
const PARENT = 'errand'

export interface CgroupFeatures {
  version: 1 | 2
  /** Whether the kernel counts swap; without it memory is limited and swap is not. */
  swap: boolean
  /** Who makes them: the runtime as root, the systemd of an ordinary user when asked, or nobody. */
  control: 'root' | 'systemd' | 'none'
}

export async function detectCgroups(): Promise<CgroupFeatures> {
  if (await exists(join(ROOT, 'cgroup.controllers')))
    return { version: 2, swap: true, control: 'root' }
  const swap = await exists(join(ROOT, 'memory/memory.memsw.limit_in_bytes'))
  return { version: 1, swap, control: 'root' }
}

/** As the OCI configuration wants it: for systemd a slice, the beginning of the scope's name, and its rest. */
export function cgroupsPath(sessionId: string, { control }: CgroupFeatures): string {
  return control === 'systemd'
    ? `${PARENT}.slice:${PARENT}:${sessionId}`
    : `/${PARENT}/${sessionId}`
}

/** Lines of a plan of launch.pl: where to count the processes that the kernel ends because memory is used up. */
export function countingPlan(sessionId: string, { version, control }: CgroupFeatures): string[][] {
  if (control === 'none') return []
  if (control === 'systemd')
    return [
      ['memory', join(scopeFolder(sessionId), 'memory.events')],
      ['scope', scopeName(sessionId)],
    ]
  const file =
    version === 2
      ? join(ROOT, PARENT, sessionId, 'memory.events')
      : join(ROOT, 'memory', PARENT, sessionId, 'memory.oom_control')
  return [['memory', file]]
}

/** A frozen process does not die of SIGKILL before it is thawed. */
export async function thaw(sessionId: string): Promise<void> {
  for (const folder of await cgroupFolders(sessionId)) {
    await writeIfThere(join(folder, 'freezer.state'), 'THAWED')
    await writeIfThere(join(folder, 'cgroup.freeze'), '0')
  }
}

/** Kills what still runs in them and removes them, children first. */
export async function removeCgroups(sessionId: string): Promise<void> {
  for (const folder of await cgroupFolders(sessionId)) await removeTree(folder)
}

export async function cgroupFolders(sessionId: string): Promise<string[]> {
  const hierarchies = await orWhenMissing([], readdir(ROOT, { withFileTypes: true }))
  const candidates = [
    join(ROOT, PARENT, sessionId),
    scopeFolder(sessionId),
    ...hierarchies
      .filter((entry) => entry.isDirectory())
      .map((entry) => join(ROOT, entry.name, PARENT, sessionId)),
  ]
  const there = await Promise.all(candidates.map((path) => exists(path)))
  return candidates.filter((_, index) => there[index])
}

function scopeName(sessionId: string): string {
  return `${PARENT}-${sessionId}.scope`
}

function scopeFolder(sessionId: string): string {
  const user = userControlGroup(process.getuid?.() ?? 0)
  return join(user, `${PARENT}.slice`, scopeName(sessionId))
}

async function removeTree(folder: string): Promise<void> {
  const entries = await orWhenMissing([], readdir(folder, { withFileTypes: true }))
  for (const entry of entries) if (entry.isDirectory()) await removeTree(join(folder, entry.name))
  const attempts = 100
  for (let attempt = 0; ; attempt++) {
    const pids = await orWhenMissing('', readFile(join(folder, 'cgroup.procs'), 'utf8'))
    for (const pid of pids.split('\n').filter((line) => Number(line) > 0)) killPid(Number(pid))
    try {
      await rmdir(folder)
      return
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'ENOENT') return
      if (code !== 'EBUSY' || attempt === attempts) throw error
      await delay(10)
    }
  }
}

function killPid(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

async function writeIfThere(path: string, text: string): Promise<void> {
  if (await exists(path)) await ignoreMissing(writeFile(path, text))
}
