// Large files of a repository that has no outside: kept beside it under the hash of their content, which is checked on the way in.
import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { link, mkdir, readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { AppError } from '../../protocol/errors.ts'
import type { LfsObject } from './lfs-messages.ts'

const FOLDER = 'lfs'

function pathOf(directory: string, oid: string): string {
  return join(directory, FOLDER, oid.slice(0, 2), oid)
}

/** In bytes; undefined when it is not there. */
export async function lfsSize(directory: string, oid: string): Promise<number | undefined> {
  try {
    return (await stat(pathOf(directory, oid))).size
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

export function readLfsObject(directory: string, oid: string): Readable {
  return createReadStream(pathOf(directory, oid))
}

/** Whole and as its name says, or not there at all. */
export async function writeLfsObject(
  directory: string,
  { oid, content, name }: { oid: string; content: AsyncIterable<Buffer>; name: string },
  isContentOf = isNamedSo,
): Promise<LfsObject> {
  const path = pathOf(directory, oid)
  const temporary = join(directory, FOLDER, `tmp-${name}`)
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const hash = createHash('sha256')
  let size = 0
  const measure = async function* () {
    for await (const chunk of content) {
      hash.update(chunk)
      size += chunk.length
      yield chunk
    }
  }
  try {
    await pipeline(measure, createWriteStream(temporary, { mode: 0o600, flush: true }))
    if (!isContentOf(oid, hash.digest('hex')))
      throw new AppError(
        'invalid',
        'lfs_content_wrong',
        'The content has not the hash of its name.',
      )
    await rename(temporary, path)
  } finally {
    await rm(temporary, { force: true })
  }
  return { oid, size }
}

/** Whether an object may have this name. */
export function isNamedSo(oid: string, sha256: string): boolean {
  return oid === sha256
}

/** Whether the length that a file is sent with is the one that was asked for. */
export function isSizeAsked(said: string | undefined, asked: number): boolean {
  return Number(said) === asked
}

/** By hard links: both stand alone afterwards. */
export async function linkLfsObjects(from: string, to: string): Promise<void> {
  for (const folder of await names(join(from, FOLDER))) {
    if (!/^[0-9a-f]{2}$/.test(folder)) continue
    await mkdir(join(to, FOLDER, folder), { recursive: true, mode: 0o700 })
    for (const oid of await names(join(from, FOLDER, folder)))
      await link(pathOf(from, oid), pathOf(to, oid))
  }
}

async function names(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
