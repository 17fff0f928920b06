// Ends what the agent left behind when it died, so that a command does not live on beside its retry. Inside a sandbox that is
// everything but process 1, the runner, what was there before the agent and what commands of people started: also what
// cleared its environment, left its group or was orphaned twice. Elsewhere only what carries the mark of the agent's run.
// Protects against accidents, not against a process that hides behind the mark of a command.
import { readFile } from 'node:fs/promises'
import { delay } from '../../lib/deadline.ts'
import { familyOf, listProcesses, type ProcessEntry } from '../../lib/process-list.ts'
import { COMMAND_MARK, RUN_MARK } from './agent-environment.ts'

const LOOK_MS = 10
const MOST_LOOKS = 500

export interface Processes {
  /** Names of all that runs now, to be spared later, without `except` and what it has started. */
  present(except?: number): Promise<ReadonlySet<string>>
  /** Resolves when nothing of the run is left; with how many there were. */
  endRun(run: string, spared: ReadonlySet<string>, agentPid?: number): Promise<number>
}

/** `ownsAll`: this process is the only child of process 1 of a sandbox, and all that runs there is its concern. */
export function createProcesses({ ownsAll }: { ownsAll: boolean }, proc = '/proc'): Processes {
  const isOfRun = async (entry: ProcessEntry, run: string) =>
    hasMark(proc, entry.pid, `${RUN_MARK}=${run}`)
  const isLeftBehind = async (entry: ProcessEntry, spared: ReadonlySet<string>) =>
    !spared.has(entry.name) && !(await hasMark(proc, entry.pid, `${COMMAND_MARK}=`))
  return {
    present: async (except) => {
      const all = await listProcesses(proc)
      const left = except === undefined ? new Set<number>() : familyOf(all, except)
      return new Set(all.filter(({ pid }) => !left.has(pid)).map(({ name }) => name))
    },
    async endRun(run, spared, agentPid) {
      const ended = new Set<string>()
      for (let look = 0; look < MOST_LOOKS; look++) {
        const all = await listProcesses(proc)
        const others = ownsAll ? withoutHelpers(all, agentPid) : all
        const checks = others.map((entry) =>
          ownsAll ? isLeftBehind(entry, spared) : isOfRun(entry, run),
        )
        const answers = await Promise.all(checks)
        const found = others.filter(
          ({ pid }, index) => answers[index] && pid > 1 && pid !== process.pid,
        )
        if (found.length === 0) break
        for (const { pid, name } of found) {
          end(pid)
          ended.add(name)
        }
        await delay(LOOK_MS)
      }
      return ended.size
    },
  }
}

/** All but the runner and the programs that it runs itself, unless they are the agent's. */
function withoutHelpers(all: ProcessEntry[], agentPid: number | undefined): ProcessEntry[] {
  const helpers = familyOf(all, process.pid, agentPid)
  return all.filter(({ pid }) => !helpers.has(pid))
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
