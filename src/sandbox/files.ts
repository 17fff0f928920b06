// Small things about files on the host that the drivers share. None of it follows a path below a sandbox's writable layer.
import { access, readFile, rename, writeFile } from 'node:fs/promises'
import type { z } from 'zod'

export async function exists(path: string): Promise<boolean> {
  try {
    await access(path)
    return true
  } catch {
    return false
  }
}

export async function orWhenMissing<T>(fallback: T, work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ENODEV' || code === 'ESRCH')
      return fallback
    throw error
  }
}

export async function ignoreMissing(work: Promise<void>): Promise<void> {
  await orWhenMissing(undefined, work)
}

/** The text of a file, undefined when there is none. */
export async function readIfThere(path: string): Promise<string | undefined> {
  return await orWhenMissing<string | undefined>(undefined, readFile(path, 'utf8'))
}

/** Undefined for what is not there or not in this form. */
export function parseAs<T>(schema: z.ZodType<T>, text: string | undefined): T | undefined {
  if (text === undefined) return undefined
  try {
    return schema.safeParse(JSON.parse(text)).data
  } catch {
    return undefined
  }
}

/** Never leaves half a file behind. */
export async function writeWhole(path: string, text: string, mode = 0o600): Promise<void> {
  await writeFile(`${path}.new`, text, { mode })
  await rename(`${path}.new`, path)
}
