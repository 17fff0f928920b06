// A tiny process that outlives its parent by a moment: it holds a pipe, and when that ends without a word it stops the
// PostgreSQL of one data folder. The next parent waits until it has done so, and is told when the last one still lives.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile, stat } from 'node:fs/promises'
import type { Writable } from 'node:stream'
import { delay } from '../../lib/deadline.ts'
import type { Logger } from '../../lib/logger.ts'
import { AppError } from '../../protocol/errors.ts'
import { SERVER_ENV } from './cluster.ts'

export interface WatchdogPlace {
  dataDir: string
  uid?: number
  gid?: number
  logger: Logger
}

export interface Watchdog {
  /** Ends it without stopping anything. */
  standDown(): Promise<void>
}

// $0 is the data folder; $1 and $2 are there to be found by (see findWatchdogs). It stays until the server has ended, so
// that nobody takes over one that has been told to stop.
const SCRIPT = `read -r word; [ "$word" = stand-down ] && exit 0
read -r pid <"$0/postmaster.pid" || exit 0
[ "/proc/$pid/cwd" -ef "$0" ] && kill -INT "$pid"
while [ "/proc/$pid/cwd" -ef "$0" ]; do sleep 0.05; done`
const MARK = 'errand-database-watchdog'

/** A server has this long to stop after the death of its parent; then it is for the next one to stop it. */
const STOP_LIMIT_MS = 20_000
const POLL_MS = 20

export function armWatchdog({ dataDir, uid, gid, logger }: WatchdogPlace): Watchdog {
  const args = ['-c', SCRIPT, dataDir, MARK, String(process.pid)]
  const watchdog = spawn('/bin/sh', args, {
    ...{ cwd: '/', env: SERVER_ENV, uid, gid },
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  })
  watchdog.on('error', (error) => logger.error({ err: error }, 'PostgreSQL has no watchdog'))
  // One that was killed reads nothing any more.
  watchdog.stdin?.on('error', () => undefined)
  watchdog.unref()
  const pipe = watchdog.stdin as (Writable & { unref?: () => void }) | null
  pipe?.unref?.()
  return { standDown: () => standDown(watchdog) }
}

/** Resolves when no watchdog of an earlier parent is left; `database_in_use` when its parent still lives. */
export async function waitForOtherWatchdogs(
  { dataDir, uid, logger }: WatchdogPlace,
  signal?: AbortSignal,
): Promise<void> {
  const endAt = Date.now() + STOP_LIMIT_MS
  for (;;) {
    const others = await findWatchdogs(dataDir, uid ?? process.getuid?.() ?? 0)
    if (others.length === 0) return
    if (others.some((other) => other.parentLives)) {
      const message = `another Errand is running on the database in ${dataDir}`
      throw new AppError('conflict', 'database_in_use', message)
    }
    if (Date.now() > endAt) {
      logger.warn('an earlier PostgreSQL does not stop by itself')
      return
    }
    await delay(POLL_MS, signal)
  }
}

async function standDown(watchdog: ChildProcess): Promise<void> {
  if (watchdog.pid === undefined || watchdog.exitCode !== null || watchdog.signalCode !== null)
    return
  const ended = once(watchdog, 'exit')
  watchdog.ref()
  watchdog.stdin?.end('stand-down\n')
  await ended
}

async function findWatchdogs(dataDir: string, uid: number): Promise<{ parentLives: boolean }[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const found = await Promise.all(pids.map((pid) => readWatchdog(pid, dataDir, uid)))
  return found.filter((each) => each !== undefined)
}

async function readWatchdog(pid: string, dataDir: string, uid: number) {
  try {
    const words = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0')
    const [folder, mark, parent] = words.slice(3)
    if (folder !== dataDir || mark !== MARK) return undefined
    if ((await stat(`/proc/${pid}`)).uid !== uid) return undefined
    const status = await readFile(`/proc/${pid}/stat`, 'utf8')
    // proc(5): the name may hold anything, the fields behind its bracket are state and parent.
    const [, parentNow] = status.slice(status.lastIndexOf(')') + 2).split(' ')
    return { parentLives: parentNow === parent }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ESRCH') return undefined
    throw error
  }
}
