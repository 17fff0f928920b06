// The store that programs open: the database at one place and everything of Errand that reads or writes it.
import type pg from 'pg'
import type { Logger } from '../lib/logger.ts'
import { type CredentialStore, createCredentialStore } from './credentials.ts'
import { createEffectQueue, type EffectQueue } from './effects.ts'
import { createEnvironmentStore, type EnvironmentStore } from './environments.ts'
import { createEventLog, type EventLog } from './event-log.ts'
import {
  createInstallationNetworkStore,
  type InstallationNetworkStore,
} from './installation-network.ts'
import { createLayerStore, type LayerStore } from './layers.ts'
import { createNetworkLogStore, type NetworkLogStore } from './network-log.ts'
import { type DatabaseConnection, openDatabase } from './postgres/database.ts'
import { createSealer } from './sealing.ts'
import { createSessionDirectory, type SessionDirectory } from './sessions.ts'
import { createSettingsStore, type SettingsStore } from './settings.ts'
import { createStandbyStore, type StandbyStore } from './standbys.ts'
import { createUploadStore, type UploadStore } from './uploads.ts'

export interface Store {
  /** The only way to change a session: see event-log.ts. */
  change: EventLog['change']
  readEvents: EventLog['read']
  sessions: SessionDirectory
  effects: EffectQueue
  environments: EnvironmentStore
  credentials: CredentialStore
  uploads: UploadStore
  standbys: StandbyStore
  layers: LayerStore
  settings: SettingsStore
  installationNetwork: InstallationNetworkStore
  networkLog: NetworkLogStore
  /** For better-auth, which makes and reads its own tables. */
  pool: pg.Pool
  /** Whether the database answers. */
  ping(): Promise<void>
  close(): Promise<void>
}

export interface OpenStoreOptions {
  connection: DatabaseConnection
  logger: Logger
  program?: string
  maxConnections?: number
  /** Content of the key file; without it no secret can be stored or opened. */
  sealingKey?: Uint8Array
  clock?: () => Date
}

/** Migrates first; fails with `unsupported`/`schema_newer` on a database that a newer version has used. */
export async function openStore(options: OpenStoreOptions): Promise<Store> {
  const { logger, sealingKey, clock = () => new Date() } = options
  const sealer = sealingKey && createSealer(sealingKey)
  const { db, pool, close } = await openDatabase(options)
  const log = createEventLog(db, clock)
  const settings = createSettingsStore(db)
  return {
    change: log.change,
    readEvents: log.read,
    sessions: createSessionDirectory(db, logger, clock),
    effects: createEffectQueue(db, clock),
    environments: createEnvironmentStore(db, clock, settings),
    credentials: createCredentialStore(db, clock, sealer),
    uploads: createUploadStore(db, clock),
    standbys: createStandbyStore(db, clock),
    layers: createLayerStore(db, clock),
    settings,
    installationNetwork: createInstallationNetworkStore(db),
    networkLog: createNetworkLogStore(db),
    pool,
    ping: async () => {
      await db.selectNoFrom((eb) => eb.lit(1).as('one')).execute()
    },
    close,
  }
}
