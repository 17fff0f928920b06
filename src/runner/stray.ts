// Finds and ends processes that the agent left behind, by a mark in their environment. Used after the agent or the runner
// died, so that a command does not live on beside its retry. Protects against accidents, not against a process that hides.
import { readdir, readFile } from 'node:fs/promises'
import { RUN_MARK } from './agent-environment.ts'

/** Ends every process whose mark begins with `run`: a session, or one run of its agent. Resolves with how many there were. */
export async function endStray(run: string, proc = '/proc'): Promise<number> {
  const mark = `${RUN_MARK}=${run}`
  const pids = (await readdir(proc)).filter((name) => /^\d+$/.test(name)).map(Number)
  const marked = await Promise.all(
    pids.map(async (pid) => ((await hasMark(proc, pid, mark)) ? pid : 0)),
  )
  const found = marked.filter((pid) => pid > 1 && pid !== process.pid)
  for (const pid of found) end(pid)
  return found.length
}

async function hasMark(proc: string, pid: number, mark: string): Promise<boolean> {
  try {
    const environment = await readFile(`${proc}/${pid}/environ`, 'latin1')
    return `\0${environment}\0`.includes(`\0${mark}`)
  } catch {
    // It has ended meanwhile, or is not ours to read: then it is not ours to end either.
    return false
  }
}

function end(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
