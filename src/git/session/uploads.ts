// Repositories that the CLI pushes from somebody's disk, to start sessions from. They expire; sessions stand without them.
import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createId } from '../../protocol/ids.ts'
import type { Git } from '../git-process.ts'
import type { Upload } from '../messages.ts'
import type { GitPaths } from '../paths.ts'
import { writeRecord } from '../records.ts'

const LIFETIME_MS = 24 * 3_600_000

interface Deps {
  git: Git
  paths: GitPaths
  nowMs: () => number
  randomBytes: (count: number) => Uint8Array
}

export async function createUpload(
  { git, paths, nowMs, randomBytes }: Deps,
  ownerId: string,
): Promise<Upload> {
  const uploadId = createId('upload', randomBytes(20))
  const temporary = join(paths.temporary, uploadId)
  const expiresAtMs = nowMs() + LIFETIME_MS
  await mkdir(temporary, { mode: 0o700 })
  await git.text({ args: ['init', '--quiet', '--bare', '--template=', '--', temporary] })
  await writeRecord(temporary, { uploadId, ownerId, expiresAtMs })
  await rename(temporary, paths.upload(uploadId))
  return { uploadId, expiresAt: new Date(expiresAtMs).toISOString() }
}

/** Gone at once under its name, then from the disk. What is not there is fine. */
export async function removeRepository(
  paths: GitPaths,
  directory: string,
  randomName: string,
): Promise<void> {
  const doomed = join(paths.temporary, randomName)
  try {
    await rename(directory, doomed)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    throw error
  }
  await rm(doomed, { recursive: true, force: true })
}
