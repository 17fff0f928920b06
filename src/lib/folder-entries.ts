// What lies in a folder, for whoever cleans up: one that is not there, or is no folder, holds nothing.
import type { Dirent } from 'node:fs'
import { readdir } from 'node:fs/promises'

export async function folderEntries(folder: string): Promise<Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return []
    throw error
  }
}
