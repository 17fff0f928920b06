// Reading where somebody else may have put anything: a pipe or a device, reading of which might never end, is as no file.
import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'

/** Undefined also for what cannot be opened. */
export async function openPlainFile(path: string): Promise<FileHandle | undefined> {
  // Without this the very opening of a pipe waits for somebody who writes to it.
  const flags = constants.O_RDONLY | constants.O_NONBLOCK
  const file = await open(path, flags).catch(() => undefined)
  if ((await file?.stat())?.isFile()) return file
  await file?.close()
  return undefined
}

export async function readPlainFile(path: string): Promise<string | undefined> {
  const file = await openPlainFile(path)
  try {
    return await file?.readFile('utf8').catch(() => undefined)
  } finally {
    await file?.close()
  }
}
