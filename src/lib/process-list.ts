// What runs, as /proc tells it: who started whom, and what it has used of the processors.
import { readdir, readFile } from 'node:fs/promises'

export interface ProcessEntry {
  pid: number
  parent: number
  /** With the number: what tells a process from a later one of the same number. */
  name: string
  /** Of processor time, in milliseconds, with that of children which it has waited for. */
  usedMs: number
}

/** Linux counts hundredths of seconds, whatever the machine. */
const TICK_MS = 10

/** Without those that have ended, also when nobody has waited for them yet. */
export async function listProcesses(proc = '/proc'): Promise<ProcessEntry[]> {
  const pids = (await readdir(proc)).filter((name) => /^\d+$/.test(name)).map(Number)
  const entries = await Promise.all(pids.map((pid) => readProcess(proc, pid)))
  return entries.filter((entry) => entry !== undefined)
}

/** A process and its descendants, but for one and those that it alone leads to. */
export function familyOf(
  all: ProcessEntry[],
  first: number,
  without?: number,
): ReadonlySet<number> {
  const family = new Set([first])
  for (let before = 0; before !== family.size; ) {
    before = family.size
    for (const { pid, parent } of all) if (family.has(parent) && pid !== without) family.add(pid)
  }
  return family
}

/** What a process and its descendants have used since they began, those that have ended included. */
export async function familyUsedMs(first: number): Promise<number> {
  const all = await listProcesses()
  const family = familyOf(all, first)
  return all.reduce((sum, { pid, usedMs }) => sum + (family.has(pid) ? usedMs : 0), 0)
}

async function readProcess(proc: string, pid: number): Promise<ProcessEntry | undefined> {
  const stat = await readFile(`${proc}/${pid}/stat`, 'latin1').catch(() => '')
  const [state, parent, ...rest] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  if (!state || state === 'Z' || state === 'X') return undefined
  const ticks = rest.slice(9, 13).reduce((sum, field) => sum + Number(field), 0)
  return { pid, parent: Number(parent), name: `${pid} ${rest[17]}`, usedMs: ticks * TICK_MS }
}
