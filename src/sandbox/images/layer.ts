// A layer: files that Errand makes and lays over an image, as data first (so that it can be tested and hashed) and as a
// folder then. Layers are read-only lower folders of a sandbox's root; root inside owns what is in them.
import { createHash } from 'node:crypto'
import { chmod, lstat, mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { exists, orWhenMissing } from '../files.ts'

export type LayerEntry =
  | { kind: 'folder'; path: string; mode: number }
  | { kind: 'file'; path: string; mode: number; data: string | Buffer }
  | { kind: 'link'; path: string; target: string }

export function folder(path: string, mode = 0o755): LayerEntry {
  return { kind: 'folder', path, mode }
}

export function file(path: string, data: string | Buffer, mode = 0o644): LayerEntry {
  return { kind: 'file', path, mode, data }
}

export function link(path: string, target: string): LayerEntry {
  return { kind: 'link', path, target }
}

/** Later entries win over earlier ones with the same path. */
export function mergeEntries(entries: LayerEntry[]): LayerEntry[] {
  return [...new Map(entries.map((entry) => [entry.path, entry])).values()]
}

export function hashEntries(entries: LayerEntry[]): string {
  const hash = createHash('sha256')
  for (const entry of entries) {
    const { kind, path } = entry
    const mode = kind === 'link' ? entry.target : String(entry.mode)
    const data = kind === 'file' ? Buffer.from(entry.data) : Buffer.alloc(0)
    hash.update(`${kind}\0${path}\0${mode}\0${data.length}\0`).update(data)
  }
  return hash.digest('hex').slice(0, 24)
}

/** Makes the folder once: it appears by a rename, and is made again only where a failure of power has left files empty. */
export async function writeLayer(path: string, entries: LayerEntry[]): Promise<void> {
  if (await isWhole(path, entries)) return
  const unfinished = `${path}.new`
  await rm(unfinished, { recursive: true, force: true })
  await mkdir(unfinished, { recursive: true, mode: 0o755 })
  await chmod(unfinished, 0o755)
  for (const entry of entries) await writeEntry(join(unfinished, entry.path), entry)
  await rm(path, { recursive: true, force: true })
  await rename(unfinished, path)
}

async function isWhole(path: string, entries: LayerEntry[]): Promise<boolean> {
  if (!(await exists(path))) return false
  const parts = await Promise.all(
    entries.map(async (entry) => {
      const stats = await orWhenMissing(undefined, lstat(join(path, entry.path)))
      return entry.kind === 'file' ? stats?.size === Buffer.byteLength(entry.data) : stats
    }),
  )
  return parts.every(Boolean)
}

async function writeEntry(path: string, entry: LayerEntry): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o755 })
  switch (entry.kind) {
    case 'folder':
      await mkdir(path, { recursive: true })
      await chmod(path, entry.mode)
      break
    case 'file':
      await writeFile(path, entry.data)
      await chmod(path, entry.mode)
      break
    case 'link':
      await symlink(entry.target, path)
      break
  }
}
