// The writable disk of a sandbox: a sparse file with an ext4 file system of exactly the size of its limit, so that the
// kernel itself says ENOSPC. It is mounted by launch.pl alone, in the sandbox's own mount namespace.
import { open, readdir, rename, statfs, truncate, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { delay } from '../../lib/deadline.ts'
import { runChecked, runProcess } from '../../lib/process.ts'
import { AppError } from '../../protocol/errors.ts'
import { exists, readIfThere } from '../files.ts'
import { type DiskTemplate, readTemplate, writeTemplate } from './disk-template.ts'

/** Below this much free space on the host no sandbox is made. */
const MIN_FREE_BYTES = 512 << 20

/** The journal is left unwritten because a new sparse file reads as zeros anyway. */
const MKFS = ['-q', '-F', '-m', '0', '-E', 'lazy_itable_init=1,lazy_journal_init=1,nodiscard']

export async function requireSpace(folder: string): Promise<void> {
  const { bavail, bsize } = await statfs(folder)
  if (bavail * bsize < MIN_FREE_BYTES)
    throw new AppError('no_space', 'disk_full', 'The disk of the data folder is full')
}

/** Sizes whose empty file system is remembered. */
const MOST_SIZES = 4

export type MakeDisk = (path: string, bytes: number, signal?: AbortSignal) => Promise<void>

/** The first disk of a size is made by mkfs, later ones as it was then: with the same id, which nothing here goes by. */
export function createDiskMaker(): MakeDisk {
  const templates = new Map<number, DiskTemplate>()
  return async (path, bytes, signal) => {
    await requireSpace(dirname(path))
    const unfinished = `${path}.new`
    const known = templates.get(bytes)
    if (known) await writeTemplate(unfinished, bytes, known)
    else {
      await formatDisk(unfinished, bytes, signal)
      const template = await readTemplate(unfinished)
      const [oldest] = templates.keys()
      if (template && oldest !== undefined && templates.size >= MOST_SIZES) templates.delete(oldest)
      if (template) templates.set(bytes, template)
    }
    signal?.throwIfAborted()
    await rename(unfinished, path)
  }
}

async function formatDisk(path: string, bytes: number, signal?: AbortSignal): Promise<void> {
  await writeFile(path, '', { mode: 0o600 })
  await truncate(path, bytes)
  await runChecked('mkfs.ext4', [...MKFS, path], { signal })
}

/** After a crash of the machine the file system is repaired; nothing is done when it was unmounted in order. */
export async function repairDisk(path: string, signal: AbortSignal): Promise<void> {
  if (!(await exists(path)))
    throw new AppError('not_found', 'disk_missing', 'The disk of this sandbox is gone')
  if (await isClean(path)) return
  const result = await runProcess('e2fsck', ['-p', path], { signal })
  // 1 and 2: errors were corrected.
  if (result.exitCode > 2)
    throw new AppError('internal', 'disk_damaged', 'The disk of this sandbox is damaged')
}

const SUPERBLOCK_OFFSET = 1024
const STATE_FIELD = 58
const FEATURES_FIELD = 96
const NEEDS_RECOVERY = 4

async function isClean(path: string): Promise<boolean> {
  const file = await open(path, 'r')
  try {
    const block = Buffer.alloc(128)
    await file.read(block, 0, block.length, SUPERBLOCK_OFFSET)
    const clean = block.readUInt16LE(STATE_FIELD) === 1
    return clean && (block.readUInt32LE(FEATURES_FIELD) & NEEDS_RECOVERY) === 0
  } finally {
    await file.close()
  }
}

/**
 * Loop devices that hold the image; there is one as long as it is mounted anywhere. Where the file was opened in another
 * mount namespace the kernel may tell less of its path, so the end of it decides, which names the session.
 */
export async function loopDevicesOf(path: string): Promise<string[]> {
  const end = path.split('/').slice(-2).join('/')
  const found: string[] = []
  for (const name of await readdir('/sys/block')) {
    if (!name.startsWith('loop')) continue
    const file = await readIfThere(join('/sys/block', name, 'loop/backing_file'))
    if (
      file
        ?.trimEnd()
        .replace(/ \(deleted\)$/, '')
        .endsWith(end)
    )
      found.push(`/dev/${name}`)
  }
  return found
}

/** Resolves when the image is mounted nowhere any more: the kernel unmounts a little after the last process has gone. */
export async function waitUntilUnmounted(path: string, limitMs: number): Promise<void> {
  const pollMs = 5
  for (let waited = 0; (await loopDevicesOf(path)).length > 0; waited += pollMs) {
    if (waited > limitMs)
      throw new AppError(
        'timeout',
        'disk_still_mounted',
        'The disk of this sandbox is still in use',
      )
    await delay(pollMs)
  }
}
