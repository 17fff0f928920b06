// Ends what a killed gitd leaves running: its direct children die with it, but a transport of theirs may still wait for the
// network. They are known by the HOME that only gitd's own git is given.
import { readdir, readFile } from 'node:fs/promises'
import { delay } from '../lib/deadline.ts'

const POLL_MS = 10
const LIMIT_MS = 5_000

/** At the start, before the first git: resolves when none is left. Processes of other users cannot be seen or ended. */
export async function endLeftoverProcesses(home: string): Promise<void> {
  for (let waitedMs = 0; waitedMs < LIMIT_MS; waitedMs += POLL_MS) {
    const pids = await leftoverProcesses(home)
    if (pids.length === 0) return
    for (const pid of pids) end(pid)
    await delay(POLL_MS)
  }
}

export async function leftoverProcesses(home: string): Promise<number[]> {
  const pids = (await readdir('/proc')).map(Number).filter((pid) => pid > 0 && pid !== process.pid)
  const found: number[] = []
  for (const pid of pids) {
    // Gone in the meantime, or another user's: neither is ours to end.
    const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '')
    if (environment.split('\0').includes(`HOME=${home}`)) found.push(pid)
  }
  return found
}

function end(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
