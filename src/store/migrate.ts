// Brings the tables to what this program expects: forward only, one at a time across all programs (advisory lock).
import type { Kysely } from 'kysely'
import { Migrator } from 'kysely/migration'
import { AppError, toAppError } from '../protocol/errors.ts'
import { initial } from './migrations/0001-initial.ts'
import { standbys } from './migrations/0002-standbys.ts'
import { queue } from './migrations/0003-queue.ts'
import { lanes } from './migrations/0004-lanes.ts'
import { layers } from './migrations/0005-layers.ts'
import { bindings } from './migrations/0006-bindings.ts'
import { checkoutLayers } from './migrations/0007-checkout-layers.ts'
import { networkLog } from './migrations/0008-network-log.ts'
import { standbyAgents } from './migrations/0009-standby-agents.ts'
import { firstTurns } from './migrations/0010-first-turns.ts'
import { endedTurns } from './migrations/0011-ended-turns.ts'

/** Names sort in the order of their numbers; a name that has been released never changes. */
const MIGRATIONS = {
  '0001-initial': initial,
  '0002-standbys': standbys,
  '0003-queue': queue,
  '0004-lanes': lanes,
  '0005-layers': layers,
  '0006-bindings': bindings,
  '0007-checkout-layers': checkoutLayers,
  '0008-network-log': networkLog,
  '0009-standby-agents': standbyAgents,
  '0010-first-turns': firstTurns,
  '0011-ended-turns': endedTurns,
}
const TABLE = 'errand_migrations'

export function isKnownSchema(name: string): boolean {
  return Object.hasOwn(MIGRATIONS, name)
}

/** The last migration that this database has had; undefined when it never had one. */
// biome-ignore lint/suspicious/noExplicitAny: see migrate
export async function readSchemaName(db: Kysely<any>): Promise<string | undefined> {
  const rows = await readMigrationNames(db)
  return rows.toSorted().at(-1)
}

/**
 * To the newest schema, or to the one that `to` names. Fails with `unsupported`/`schema_newer` and touches nothing when a
 * newer program has been here.
 */
// biome-ignore lint/suspicious/noExplicitAny: Kysely's own migrator asks for a database of unknown tables
export async function migrate(db: Kysely<any>, to?: string): Promise<void> {
  await refuseNewerSchema(db)
  const migrator = new Migrator({
    db,
    provider: { getMigrations: async () => MIGRATIONS },
    migrationTableName: TABLE,
    migrationLockTableName: `${TABLE}_lock`,
  })
  const { error } = await (to === undefined ? migrator.migrateToLatest() : migrator.migrateTo(to))
  if (error === undefined) return
  // Another, newer program may have migrated between the check above and the lock.
  await refuseNewerSchema(db)
  throw toAppError(error, 'migration_failed')
}

// biome-ignore lint/suspicious/noExplicitAny: see migrate
async function refuseNewerSchema(db: Kysely<any>): Promise<void> {
  const unknown = (await readMigrationNames(db)).filter((name) => !isKnownSchema(name))
  if (unknown.length === 0) return
  throw new AppError(
    'unsupported',
    'schema_newer',
    `the database was used by a newer version of Errand (${unknown.join(', ')}); start that version`,
  )
}

// biome-ignore lint/suspicious/noExplicitAny: see migrate
async function readMigrationNames(db: Kysely<any>): Promise<string[]> {
  const tables = await db.introspection.getTables({ withInternalKyselyTables: true })
  if (!tables.some((table) => table.name === TABLE)) return []
  const rows = await db.selectFrom(TABLE).select('name').execute()
  return rows.map((row) => String(row.name))
}
