// Takes away the locks that a killed git left behind: nobody holds them any more, and each would stop whatever comes later.
import { readdir, readFile, readlink, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { delay } from '../../lib/deadline.ts'
import { folderEntries } from '../../lib/folder-entries.ts'

/** What they hold is no lock, and may be much. */
const PASSED_OVER = new Set(['objects', 'logs', 'hooks', 'lfs'])
/** A lock that is left alone for so long by everybody, with no git at work in its work tree, is held by nobody. */
const STALE_MS = 1_000

/** In a git folder, or another in which git keeps an index, while no git works there. Nothing happens where there is none. */
export async function clearLocks(folder: string): Promise<void> {
  for (const path of await findLocks(folder)) await rm(path, { force: true })
}

/** In the git folder of a work tree in which something may be at work: those alone that nobody holds. */
export async function clearStaleLocks(
  { folder, gitFolder }: { folder: string; gitFolder: string },
  signal: AbortSignal,
): Promise<void> {
  const before = await describeAll(await findLocks(gitFolder))
  if (before.size === 0) return
  await delay(STALE_MS, signal)
  if (await isGitAtWork(folder)) return
  for (const [path, version] of await describeAll([...before.keys()]))
    if (before.get(path) === version) await rm(path, { force: true })
}

async function findLocks(folder: string): Promise<string[]> {
  const locks: string[] = []
  for (const entry of await folderEntries(folder)) {
    const path = join(folder, entry.name)
    if (entry.isFile() && entry.name.endsWith('.lock')) locks.push(path)
    else if (entry.isDirectory() && !PASSED_OVER.has(entry.name))
      locks.push(...(await findLocks(path)))
  }
  return locks
}

async function describeAll(paths: string[]): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  for (const path of paths) {
    const file = await stat(path).catch(() => undefined)
    if (file) found.set(path, `${file.ino} ${file.size} ${file.mtimeMs}`)
  }
  return found
}

async function isGitAtWork(folder: string): Promise<boolean> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const answers = await Promise.all(pids.map((pid) => isGitIn(folder, pid)))
  return answers.includes(true)
}

/** False for one that has ended meanwhile. */
async function isGitIn(folder: string, pid: string): Promise<boolean> {
  const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')
  if (!/^git(-|$)/m.test(name)) return false
  const at = await readlink(`/proc/${pid}/cwd`).catch(() => '')
  return at === folder || at.startsWith(`${folder}/`)
}
