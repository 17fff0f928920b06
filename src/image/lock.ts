// One build of an image at a time, and nothing left of one that was killed.
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { lockFolder } from '../lib/folder-lock.ts'
import { AppError } from '../protocol/errors.ts'
import { exists, orWhenMissing } from '../sandbox/files.ts'

const BUILDING = 'building'

/** The folder that an image is made in, held until `unlock`. */
export async function openBuildFolder(
  dataDir: string,
  name: string,
): Promise<{ folder: string; unlock: () => Promise<void> }> {
  // It is for all users inside, whatever the user who makes it leaves others to read.
  process.umask(0o022)
  const images = join(dataDir, 'images')
  // The gateway passes through, and sees what stands beside the images.
  await mkdir(images, { recursive: true, mode: 0o711 })
  const folder = join(images, BUILDING, name)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const unlock = await lockFolder(folder)
  if (unlock) return { folder, unlock }
  const message = `The image ${name} is being built already. Wait for it, or end that command.`
  throw new AppError('conflict', 'image_being_built', message)
}

/** What imports that were killed have left. A build of an image that has a definition goes on where it was, and is kept. */
export async function removeLeftImports({
  dataDir,
  codeDir,
}: {
  dataDir: string
  codeDir: string
}): Promise<void> {
  const building = join(dataDir, 'images', BUILDING)
  for (const name of await orWhenMissing<string[]>([], readdir(building))) {
    if (await exists(join(codeDir, 'images', name))) continue
    const folder = join(building, name)
    const unlock = await lockFolder(folder)
    if (!unlock) continue
    await rm(folder, { recursive: true, force: true }).finally(unlock)
  }
}
