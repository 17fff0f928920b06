// What tells a process from a later one with its number, and from one of another machine.
import { readFile, readlink } from 'node:fs/promises'

export interface ProcessIdentity {
  pid: number
  /** With the id of the machine's boot: what tells this process from a later one with its number. */
  startTicks: string
  bootId: string
}

export async function describeProcess(pid: number): Promise<ProcessIdentity> {
  const startTicks = (await readStartTicks(pid)) ?? ''
  return { pid, startTicks, bootId: await readBootId() }
}

export async function isAlive(run: ProcessIdentity): Promise<boolean> {
  if (run.startTicks === '' || run.bootId !== (await readBootId())) return false
  return (await readStartTicks(run.pid)) === run.startTicks
}

const NAME = /^([0-9a-f-]{36})\/(\d+)\/(\d+)\/(\d+)$/

/** This process, for others that may be on other machines: no other one ever has this name. */
export async function nameOwnProcess(): Promise<string> {
  const { bootId, startTicks } = await describeProcess(process.pid)
  return [bootId, await readPidNamespace(), process.pid, startTicks].join('/')
}

/** True for a process of this machine that is certainly gone. False for all that cannot be known from here. */
export async function hasCertainlyEnded(name: string): Promise<boolean> {
  const [, bootId, namespace, pid, startTicks] = NAME.exec(name) ?? []
  if (bootId !== (await readBootId()) || namespace !== (await readPidNamespace())) return false
  const there = await readStartTicks(Number(pid))
  return there === undefined ? !existsProcess(Number(pid)) : there !== startTicks
}

/** Also of other users, whose files in /proc may be hidden. */
function existsProcess(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}

/** Field 22 of /proc/<pid>/stat; undefined when the process has gone or is a zombie. */
async function readStartTicks(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(emptyWhenGone)
  const [state, ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return state === '' || state === 'Z' || state === 'X' ? undefined : fields[18]
}

/** A process may also go between the opening of its file and the reading. */
function emptyWhenGone(error: NodeJS.ErrnoException): string {
  if (error.code === 'ENOENT' || error.code === 'ESRCH') return ''
  throw error
}

async function readBootId(): Promise<string> {
  return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim()
}

/** The number of the namespace in which process ids count. */
async function readPidNamespace(): Promise<string | undefined> {
  return /\d+/.exec(await readlink('/proc/self/ns/pid'))?.[0]
}
