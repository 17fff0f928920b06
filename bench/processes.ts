// Which processes belong to an installation and how much memory is theirs, from /proc.
import { readdir, readFile, readlink } from 'node:fs/promises'

/** The processes of Errand itself: all that share the mount namespace that `errand up` made for itself. */
export async function installationPids(upPid: number): Promise<number[]> {
  const own = await mountNamespace(upPid)
  const pids = await allPids()
  const namespaces = await Promise.all(pids.map(mountNamespace))
  return pids.filter((_, index) => namespaces[index] === own)
}

/** The processes of a session's sandbox, by its control group. */
export async function sandboxPids(sessionId: string): Promise<number[]> {
  const pids = await allPids()
  const groups = await Promise.all(pids.map((pid) => readOrNothing(`/proc/${pid}/cgroup`)))
  return pids.filter((_, index) => groups[index]?.includes(sessionId))
}

/** Proportional set size in MiB: what is shared counts for each process in part. */
export async function pssMib(pids: readonly number[]): Promise<number> {
  const texts = await Promise.all(pids.map((pid) => readOrNothing(`/proc/${pid}/smaps_rollup`)))
  const kib = texts.map((text) => Number(/^Pss:\s+(\d+) kB$/m.exec(text)?.[1] ?? 0))
  return kib.reduce((sum, one) => sum + one, 0) / 1024
}

async function allPids(): Promise<number[]> {
  return (await readdir('/proc')).map(Number).filter((pid) => pid > 0)
}

function mountNamespace(pid: number): Promise<string> {
  return readlink(`/proc/${pid}/ns/mnt`).catch(() => '')
}

/** A process may end at any time. */
function readOrNothing(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '')
}
