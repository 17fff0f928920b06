// What a machine loses when its power is cut: every process of an installation at once, sandboxes included, what it kept under
// /run, its mounts, loop devices and control groups. Disks stay. The number of the machine's boot stays too: it is one.
import { readdirSync, readlinkSync, rmdirSync } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { loopDevicesOf } from '../../src/sandbox/disks/disk-image.ts'
import { cgroupFolders } from '../../src/sandbox/oci/cgroups.ts'
import type { Bench } from './bench.ts'
import { eventually } from './bench.ts'
import { findInside, runtimeDirOf } from './processes.ts'

export async function cutPower({ errand }: Pick<Bench, 'errand'>): Promise<void> {
  const { dataDir } = errand
  const sandboxes = join(dataDir, 'sandboxes')
  const ids = await readdir(sandboxes)
  const namespaces = new Set([namespaceOf(errand.pid(), 'mnt')])
  for (const id of ids) namespaces.add(namespaceOf(initOf(dataDir, id), 'mnt'))
  namespaces.delete(undefined)
  await eventually('the end of all processes', () => {
    const left = processesIn(namespaces)
    for (const pid of left) killNow(pid)
    if (left.length > 0) throw new Error(`${left} still run`)
  })
  await eventually('the end of all mounts', async () => {
    const devices = await Promise.all(
      ids.map((id) => loopDevicesOf(join(sandboxes, id, 'disk.img'))),
    )
    if (devices.flat().length > 0) throw new Error(`${devices.flat()} are in use`)
  })
  for (const id of ids)
    for (const folder of await cgroupFolders(id))
      await eventually('an empty group', () => removeTree(folder))
  await rm(runtimeDirOf(dataDir), { recursive: true, force: true })
}

/** 0 when its sandbox has ended. */
function initOf(dataDir: string, id: string): number {
  try {
    return findInside(dataDir, id, 'container')
  } catch {
    return 0
  }
}

function processesIn(namespaces: ReadonlySet<string | undefined>): number[] {
  const pids = readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0)
  return pids.filter((pid) => namespaces.has(namespaceOf(pid, 'mnt')))
}

/** Undefined when there is no such process, or none any more. */
function namespaceOf(pid: number, kind: string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/${kind}`)
  } catch {
    return undefined
  }
}

function killNow(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

function removeTree(folder: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true }))
    if (entry.isDirectory()) removeTree(join(folder, entry.name))
  rmdirSync(folder)
}
