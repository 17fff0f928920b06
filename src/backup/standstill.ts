// The database of an installation of which nothing else runs, for as long as some work on it takes.
import { rmdir } from 'node:fs/promises'
import type { Config } from '../config.ts'
import { startDatabase } from '../installation/database.ts'
import { clearRuntimeFolder, type Layout, layoutOf, prepareGround } from '../installation/ground.ts'
import type { Logger } from '../lib/logger.ts'
import type { DatabaseConnection } from '../store/postgres/database.ts'

export interface Standstill {
  layout: Layout
  connection: DatabaseConnection
}

/** Makes what is missing of its folders. As root this process has to be in a mount namespace of its own. */
export async function atStandstill<T>(
  config: Config,
  logger: Logger,
  work: (still: Standstill) => Promise<T>,
): Promise<T> {
  const layout = layoutOf(config)
  try {
    const accounts = await prepareGround(config, layout)
    const { connection, stop } = await startDatabase({ config, layout, accounts, logger })
    try {
      return await work({ layout, connection })
    } finally {
      await stop()
    }
  } finally {
    await clearRuntimeFolder(config, layout)
    await rmdir(config.runtimeDir).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'ENOENT') throw error
    })
  }
}
