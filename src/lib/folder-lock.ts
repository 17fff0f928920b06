// A folder that one program has at a time. The lock is the kernel's: it is free again when this program ends, however it ends.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'

/** Undefined while another program has it. */
export async function lockFolder(folder: string): Promise<(() => Promise<void>) | undefined> {
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
  if (!Buffer.isBuffer(said)) return undefined
  return async () => {
    holder.stdin.end()
    await ended
  }
}
