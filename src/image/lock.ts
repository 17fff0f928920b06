// One build of an image at a time. The lock is the kernel's: it is free again when this program ends, however it ends.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError } from '../protocol/errors.ts'

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
  const folder = join(images, 'building', name)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  return { folder, unlock: await lockFolder(folder, name) }
}

async function lockFolder(folder: string, name: string): Promise<() => Promise<void>> {
  const holder = spawn(
    'flock',
    ['--nonblock', join(folder, 'lock'), 'sh', '-c', 'echo held; cat'],
    {
      stdio: ['pipe', 'pipe', 'ignore'],
      detached: true,
    },
  )
  const ended = once(holder, 'exit')
  const [said] = await Promise.race([once(holder.stdout, 'data'), ended])
  if (!Buffer.isBuffer(said)) {
    const message = `The image ${name} is being built already. Wait for it, or end that command.`
    throw new AppError('conflict', 'image_being_built', message)
  }
  return async () => {
    holder.stdin.end()
    await ended
  }
}
