// A real PostgreSQL for tests: one server per test file in a folder of its own, gone afterwards. As root it runs as
// another user; where that user cannot reach the programs (a clone below a closed folder) they are copied.
import { randomBytes } from 'node:crypto'
import { chmod, cp, mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createSilentLogger } from '../../lib/logger.ts'
import { openStore, type Store } from '../store.ts'
import { findPostgresBinDir } from './cluster.ts'
import type { DatabaseConnection } from './database.ts'
import { type EmbeddedPostgres, startEmbeddedPostgres } from './embedded-postgres.ts'

/** `nobody`: the programs of PostgreSQL want a user that has a name. */
const UNPRIVILEGED_ID = 65_534

export interface TestPlace {
  folder: string
  binDir: string
  uid?: number
  gid?: number
  remove(): Promise<void>
}

export interface TestDatabase {
  connection: DatabaseConnection
  postgres: EmbeddedPostgres
  openStore(options?: { clock?: () => Date; sealingKey?: Uint8Array }): Promise<Store>
  stop(): Promise<void>
}

/** A folder with a short path and what it takes to start a server in it. */
export async function makeTestPlace(): Promise<TestPlace> {
  const folder = await mkdtemp(join(tmpdir(), 'errand-pg-'))
  const remove = () => rm(folder, { recursive: true, force: true, maxRetries: 3 })
  const binDir = findPostgresBinDir()
  if (process.getuid?.() !== 0) return { folder, binDir, remove }
  await chmod(folder, 0o711)
  const id = { uid: UNPRIVILEGED_ID, gid: UNPRIVILEGED_ID }
  if (await isOpenToAll(binDir)) return { folder, binDir, ...id, remove }
  await cp(dirname(binDir), join(folder, 'native'), { recursive: true, verbatimSymlinks: true })
  return { folder, binDir: join(folder, 'native', 'bin'), ...id, remove }
}

/** For `beforeAll`; call `stop` in `afterAll`. */
export async function startTestDatabase(): Promise<TestDatabase> {
  const { folder, remove, ...place } = await makeTestPlace()
  const logger = createSilentLogger()
  const postgres = await startEmbeddedPostgres({
    ...place,
    dataDir: join(folder, 'data'),
    socketDir: join(folder, 'socket'),
    logger,
  })
  const stores: Store[] = []
  return {
    connection: postgres.connection,
    postgres,
    openStore: async (options = {}) => {
      const sealingKey = randomBytes(32)
      const { connection } = postgres
      const store = await openStore({ connection, logger, sealingKey, ...options })
      stores.push(store)
      return store
    },
    stop: async () => {
      await Promise.allSettled(stores.map((store) => store.close()))
      await postgres.stop()
      await remove()
    },
  }
}

async function isOpenToAll(path: string): Promise<boolean> {
  const { mode } = await stat(path)
  if ((mode & 0o001) === 0) return false
  return path === '/' || isOpenToAll(dirname(path))
}
