// Control groups of a sandbox, in version 1, 2 or both side by side. The runtime makes them; this reads what happened in
// them and removes what the runtime left.
import { readdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { delay } from '../lib/deadline.ts'
import { exists, ignoreMissing, orWhenMissing } from './files.ts'
import { userControlGroup } from './rootless-limits.ts'

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

/** How many processes the kernel has ended because the sandbox's memory was used up. */
export async function countMemoryKills(sessionId: string): Promise<number> {
  let kills = 0
  for (const folder of await cgroupFolders(sessionId))
    for (const name of ['memory.events', 'memory.oom_control']) {
      const text = await orWhenMissing('', readFile(join(folder, name), 'utf8'))
      kills += Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0)
    }
  return kills
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
  const users = userControlGroup(process.getuid?.() ?? 0)
  const candidates = [
    join(ROOT, PARENT, sessionId),
    join(users, `${PARENT}.slice`, `${PARENT}-${sessionId}.scope`),
    ...hierarchies
      .filter((entry) => entry.isDirectory())
      .map((entry) => join(ROOT, entry.name, PARENT, sessionId)),
  ]
  const there = await Promise.all(candidates.map((path) => exists(path)))
  return candidates.filter((_, index) => there[index])
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
