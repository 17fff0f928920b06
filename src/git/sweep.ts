// Cleans up: after a crash (at the start, before any git runs) and from time to time.
// Never removes an object that something may borrow: a mirror goes as a whole, when no session names it.
import { lstat, readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { folderEntries } from '../lib/folder-entries.ts'
import type { Logger } from '../lib/logger.ts'
import type { GitPaths } from './paths.ts'
import { readIfThere } from './read-if-there.ts'
import { findRecord, uploadRecordSchema } from './records.ts'

const MIRROR_IDLE_MS = 7 * 24 * 3_600_000

/**
 * Removes what a killed git leaves behind: temporary files, quarantines and locks that nobody holds any more. What is no folder
 * where a repository should be is put aside, so that it stops nobody: a mirror is made again, and nothing is lost.
 */
export async function clearLeftovers(
  paths: GitPaths,
  { log, nowMs }: Pick<SweepDeps, 'log' | 'nowMs'>,
): Promise<void> {
  for (const name of await readdir(paths.temporary))
    await rm(join(paths.temporary, name), { recursive: true, force: true })
  for (const folder of [paths.mirrors, paths.sessions, paths.uploads])
    for (const name of await readdir(folder)) {
      const path = join(folder, name)
      try {
        if (await isFolder(path)) await clearRepository(path)
        else {
          const to = join(paths.aside, `${basename(folder)}-${name}-${nowMs()}`)
          await rename(path, to)
          log.warn({ path, to }, 'this is no repository: it was put aside')
        }
      } catch (error) {
        // The others need gitd meanwhile.
        log.error({ path, err: error }, 'a repository could not be cleared')
      }
    }
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory()
  } catch (error) {
    // A link to nowhere.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}

/** Nobody may be writing in it. Nothing happens where there is no such folder. */
export async function clearRepository(directory: string): Promise<void> {
  await clearFolder(directory, (name) => name.endsWith('.lock') || name.endsWith('.new'))
  await clearRefs(join(directory, 'refs'))
  await clearFolder(join(directory, 'objects'), (name) => name.startsWith('tmp_objdir-'))
  await clearFolder(
    join(directory, 'objects', 'pack'),
    (name) => name.startsWith('tmp_') || name.startsWith('.tmp-'),
  )
}

/** An empty one is what a cut of the machine's power leaves of a ref, and git can neither read nor replace it: it comes again. */
async function clearRefs(folder: string): Promise<void> {
  await clearFolder(folder, (name) => name.endsWith('.lock'))
  const entries = await folderEntries(folder)
  const clear = async (path: string) => {
    if ((await lstat(path)).size === 0) await rm(path, { force: true })
  }
  await Promise.all(
    entries.filter((entry) => entry.isFile()).map(({ name }) => clear(join(folder, name))),
  )
  for (const entry of entries) if (entry.isDirectory()) await clearRefs(join(folder, entry.name))
}

async function clearFolder(folder: string, doomed: (name: string) => boolean): Promise<void> {
  for (const { name } of await folderEntries(folder))
    if (doomed(name)) await rm(join(folder, name), { recursive: true, force: true })
}

export interface SweepDeps {
  paths: GitPaths
  nowMs: () => number
  log: Logger
  /** Removes a repository by renaming it away first. */
  remove: (directory: string) => Promise<void>
}

/** Uploads that expired, and mirrors that no session borrows from and nobody used for a week. */
export async function sweep({ paths, nowMs, log, remove }: SweepDeps): Promise<void> {
  for (const name of await readdir(paths.uploads)) {
    const directory = join(paths.uploads, name)
    try {
      const record = await findRecord(directory, uploadRecordSchema)
      if (record && record.expiresAtMs > nowMs()) continue
      await remove(directory)
      log.info({ upload: name }, 'an upload expired')
    } catch (error) {
      // The others, and the mirrors, would stay for ever with it.
      log.warn({ directory, err: error }, 'an upload could not be looked at')
    }
  }
  const borrowed = await borrowedMirrors(paths)
  for (const name of await readdir(paths.mirrors)) {
    const directory = join(paths.mirrors, name)
    try {
      const { mtimeMs } = await stat(directory)
      if (borrowed.has(name) || nowMs() - mtimeMs < MIRROR_IDLE_MS) continue
      await remove(directory)
      log.info({ mirror: name }, 'a mirror was not used for a week')
    } catch (error) {
      log.warn({ directory, err: error }, 'a mirror could not be looked at')
    }
  }
}

async function borrowedMirrors(paths: GitPaths): Promise<Set<string>> {
  const names = new Set<string>()
  for (const session of await readdir(paths.sessions)) {
    const file = join(paths.sessions, session, 'objects', 'info', 'alternates')
    for (const line of (await readIfThere(file)).split('\n'))
      if (line.endsWith('/objects')) names.add(basename(dirname(line)))
  }
  return names
}
