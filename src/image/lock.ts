// One build of an image at a time. The lock is the kernel's: it is free again when this program ends, however it ends.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { AppError } from '../protocol/errors.ts'

/** Resolves with what gives the folder free. */
export async function lockFolder(folder: string, name: string): Promise<() => Promise<void>> {
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
