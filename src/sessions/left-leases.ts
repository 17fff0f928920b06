// What was held by a worker that has certainly ended, as the server before this one that was killed: nobody has to wait for the
// time of its leases. What cannot be known to have ended, on another machine or while it is frozen, keeps them.
import type { Logger } from '../lib/logger.ts'

/** A holder is named by its process; what tells its holds apart follows behind a space. */
export interface Leases {
  holders(): Promise<string[]>
  endLeases(holder: string): Promise<number>
}

export interface LeftLeasesDeps {
  /** In the order in which they are let go. */
  leases: readonly Leases[]
  /** Of a process by its name: false unless it is certain. */
  hasEnded(process: string): Promise<boolean>
  logger: Logger
}

/** Where it fails the leases run out by themselves. */
export async function endLeftLeases({ leases, hasEnded, logger }: LeftLeasesDeps): Promise<void> {
  try {
    for (const { holders, endLeases } of leases) {
      for (const holder of await holders()) {
        const [process = ''] = holder.split(' ')
        if (!(await hasEnded(process))) continue
        const count = await endLeases(holder)
        logger.info({ holder, count }, 'what a worker held that has ended is taken over')
      }
    }
  } catch (error) {
    logger.warn({ err: error }, 'whether workers have ended could not be seen')
  }
}
