// Finds, waits for and ends the PostgreSQL server of one data folder, whoever started it. Trusts no number in a pid file:
// a process counts only when its working folder is that data folder, which is so for every process of a server.
import { readdir, readFile, readlink, realpath, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { delay } from '../../lib/deadline.ts'
import { AppError } from '../../protocol/errors.ts'

export interface Postmaster {
  pid: number
  socketDir: string
  /** `ready` once it takes connections. */
  status: string
  /** Its program file was replaced or removed since it started. */
  outdated: boolean
}

/** A server that is asked to stop ends its connections at once and writes a checkpoint. */
const STOP_LIMIT_MS = 20_000
const IMMEDIATE_STOP_LIMIT_MS = 5_000
const POLL_MS = 20

const LINE = { pid: 0, socketDir: 4, status: 7 }

/** Undefined when no server runs on that folder. */
export async function findPostmaster(dataDir: string): Promise<Postmaster | undefined> {
  const lines = await readPidFile(join(dataDir, 'postmaster.pid'))
  const pid = Number(lines[LINE.pid])
  if (!(await isServerProcess(pid, dataDir))) return undefined
  const program = await readlink(`/proc/${pid}/exe`).catch(() => '')
  return {
    pid,
    socketDir: lines[LINE.socketDir]?.trim() ?? '',
    status: lines[LINE.status]?.trim() ?? '',
    outdated: program.endsWith(' (deleted)'),
  }
}

export async function isServerProcess(pid: number, dataDir: string): Promise<boolean> {
  if (!Number.isInteger(pid) || pid < 2) return false
  try {
    return (await readlink(`/proc/${pid}/cwd`)) === (await realpath(dataDir))
  } catch {
    // Gone, or of somebody else: in both cases not a server of ours.
    return false
  }
}

/** Resolves when that process has ended; false when it has not within the limit. */
export async function waitUntilGone(
  pid: number,
  dataDir: string,
  limitMs: number,
  signal?: AbortSignal,
): Promise<boolean> {
  const endAt = Date.now() + limitMs
  while (await isServerProcess(pid, dataDir)) {
    if (Date.now() > endAt) return false
    await delay(POLL_MS, signal)
  }
  return true
}

/** Ends it in order, then at once, then by force; committed rows survive all three. */
export async function stopPostmaster(pid: number, dataDir: string): Promise<void> {
  const steps: [NodeJS.Signals, number][] = [
    ['SIGINT', STOP_LIMIT_MS],
    ['SIGQUIT', IMMEDIATE_STOP_LIMIT_MS],
    ['SIGKILL', IMMEDIATE_STOP_LIMIT_MS],
  ]
  for (const [name, limitMs] of steps) {
    if (await isServerProcess(pid, dataDir)) sendSignal(pid, name)
    if (await waitUntilGone(pid, dataDir, limitMs)) return
  }
  throw new AppError('internal', 'database_not_stopping', `PostgreSQL (pid ${pid}) does not end`)
}

/**
 * Makes room for a new server where none is in charge: waits for the last children of a killed one, then removes lock
 * files whose number belongs to another program by now (PostgreSQL would take it for a server and refuse to start).
 */
export async function clearLeftovers(
  dataDir: string,
  socketDir: string,
  signal?: AbortSignal,
): Promise<void> {
  for (const pid of await listServerProcesses(dataDir)) {
    if (await waitUntilGone(pid, dataDir, IMMEDIATE_STOP_LIMIT_MS, signal)) continue
    await stopPostmaster(pid, dataDir)
  }
  const locks = [join(dataDir, 'postmaster.pid'), join(socketDir, '.s.PGSQL.5432.lock')]
  for (const lock of locks) {
    const pid = Number((await readPidFile(lock))[LINE.pid])
    if (pid > 1 && isAlive(pid)) await rm(lock, { force: true })
  }
}

async function listServerProcesses(dataDir: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)
  const checked = await Promise.all(pids.map((pid) => isServerProcess(pid, dataDir)))
  return pids.filter((_, index) => checked[index])
}

async function readPidFile(path: string): Promise<string[]> {
  try {
    return (await readFile(path, 'utf8')).split('\n')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function sendSignal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
