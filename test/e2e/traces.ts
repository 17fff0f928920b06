// Everything on this machine that names one session: processes, mounts, control groups, sockets, loop devices, files.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { findProgram, runtimeDirOf } from '../faults/processes.ts'
import type { Installation } from './installation.ts'

/** The size of the range of ids that one sandbox has. */
const RANGE_SIZE = 65_536

export interface SessionTraces {
  processes: string[]
  mounts: string[]
  cgroups: string[]
  sockets: string[]
  loopDevices: string[]
  /** Below the data and the runtime folder, from there on. */
  files: string[]
}

export const NO_TRACES: SessionTraces = {
  ...{ processes: [], mounts: [], cgroups: [], sockets: [], loopDevices: [], files: [] },
}

/** The first id of a sandbox's range; undefined while it has none. */
export function firstIdOf({ dataDir }: Installation, id: string): number | undefined {
  const text = readIfThere(join(dataDir, 'sandboxes', id, 'sandbox.json'))
  return text === '' ? undefined : JSON.parse(text).uidBase
}

/** `firstId` as long as it was known: processes that have its ids and do not name the session are found as well. */
export async function findTraces(
  errand: Installation,
  id: string,
  firstId?: number,
): Promise<SessionTraces> {
  const { dataDir } = errand
  const folders = [dataDir, runtimeDirOf(dataDir)]
  const server = findProgram(dataDir, 'server')
  return {
    processes: findProcesses(id, firstId),
    mounts: findMounts(id),
    cgroups: (await readdir('/sys/fs/cgroup', { recursive: true })).filter((name) =>
      name.endsWith(id),
    ),
    sockets: readIfThere(`/proc/${server}/net/unix`)
      .split('\n')
      .filter((line) => line.includes(id)),
    loopDevices: readdirSync('/sys/block').filter((name) =>
      readIfThere(`/sys/block/${name}/loop/backing_file`).includes(id),
    ),
    files: (await Promise.all(folders.map((folder) => findFiles(folder, id)))).flat().sort(),
  }
}

function findProcesses(id: string, firstId = Number.POSITIVE_INFINITY): string[] {
  return pids().flatMap((pid) => {
    const args = readIfThere(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim()
    const status = readIfThere(`/proc/${pid}/status`)
    const uid = Number(/^Uid:\s+(\d+)/m.exec(status)?.[1])
    const group = readIfThere(`/proc/${pid}/cgroup`)
    const named = args.includes(id) || group.includes(id)
    const isInside =
      uid >= firstId && uid < firstId + RANGE_SIZE && !namesSession(`${group}${mountsOf(pid)}`)
    const isGone = args === '' || /^State:\s+[ZX]/m.test(status)
    return (named || isInside) && !isGone ? [`${pid} ${uid} ${args.slice(0, 200)}`] : []
  })
}

/** Another installation may have given the same range to a session of its own, which its group or mounts then name. */
function namesSession(text: string): boolean {
  return /\bs_[a-z2-7]{20}\b/.test(text)
}

function mountsOf(pid: number): string {
  return readIfThere(`/proc/${pid}/mountinfo`)
}

/** In every mount namespace of the machine that a process lives in; Errand has one of its own. */
function findMounts(id: string): string[] {
  const seen = new Set<string>()
  return pids().flatMap((pid) => {
    const namespace = linkIfThere(`/proc/${pid}/ns/mnt`)
    if (namespace === '' || seen.has(namespace)) return []
    seen.add(namespace)
    const lines = mountsOf(pid).split('\n')
    return lines.filter((line) => line.includes(id)).map((line) => `${namespace} ${line}`)
  })
}

/** What names the session; not what lies below it. */
async function findFiles(folder: string, id: string): Promise<string[]> {
  const names = await readdir(folder, { recursive: true }).catch(() => [])
  return names.filter(
    (name) => name.includes(id) && !name.slice(0, name.lastIndexOf('/')).includes(id),
  )
}

function pids(): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0)
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

function linkIfThere(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}
