// The folder in which a backup is made, beside its file: copies of the database and of the key lie in it. One that was killed
// has left its own, which the next backup there takes away.
import { lstat, mkdtemp, readdir, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { lockFolder } from '../lib/folder-lock.ts'
import { AppError } from '../protocol/errors.ts'

const PREFIX = '.errand-backup-'
/** Another backup that begins just then may take a new folder for a left one. */
const TRIES = 3

export interface BackupFolder {
  folder: string
  remove(): Promise<void>
}

export async function openBackupFolder(file: string): Promise<BackupFolder> {
  const parent = dirname(file)
  // What cannot be removed keeps nobody from a backup.
  await removeLeft(parent).catch(() => undefined)
  for (let left = TRIES; left > 0; left--) {
    const folder = await mkdtemp(join(parent, PREFIX)).catch((error: NodeJS.ErrnoException) => {
      throw notWritable(parent, error)
    })
    const unlock = await lockFolder(folder)
    const remove = () => rm(folder, { recursive: true, force: true })
    if (unlock) return { folder, remove: () => remove().finally(unlock) }
    await remove()
  }
  throw notWritable(parent)
}

function notWritable(parent: string, cause?: NodeJS.ErrnoException): AppError {
  const message = `Nothing can be written to ${parent} (${cause?.code ?? 'no file can be locked'}).`
  return new AppError('invalid', 'backup_folder', message, { cause })
}

async function removeLeft(parent: string): Promise<void> {
  for (const name of await readdir(parent)) {
    if (!name.startsWith(PREFIX)) continue
    const folder = join(parent, name)
    // In a folder that others may write to as well, theirs are none of ours, nor is what a link of theirs leads to.
    const stats = await lstat(folder)
    if (!stats.isDirectory() || stats.uid !== process.getuid?.()) continue
    const unlock = await lockFolder(folder)
    if (unlock) await rm(folder, { recursive: true, force: true }).finally(unlock)
  }
}
