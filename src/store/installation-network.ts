// What the owner sets for the network of all sessions. Whoever changes it wakes the programs that hold by it.
import { type Kysely, sql } from 'kysely'
import {
  type InstallationNetwork,
  type InstallationNetworkPatch,
  installationNetworkSchema,
  patchInstallationNetwork,
} from '../protocol/installation-network.ts'
import { INSTALLATION_CHANNEL } from './postgres/channels.ts'
import type { Database } from './schema.ts'

const KEY = 'network'

export interface InstallationNetworkStore {
  get(): Promise<InstallationNetwork>
  /** What is absent stays; two changes at once both hold. */
  patch(patch: InstallationNetworkPatch): Promise<InstallationNetwork>
}

export function createInstallationNetworkStore(db: Kysely<Database>): InstallationNetworkStore {
  const read = async (on: Kysely<Database>) => {
    const row = await on
      .selectFrom('settings')
      .select('value')
      .where('key', '=', KEY)
      .executeTakeFirst()
    return installationNetworkSchema.parse(row?.value ?? {})
  }
  return {
    get: () => read(db),
    patch: (patch) =>
      db.transaction().execute(async (tx) => {
        await sql`select pg_advisory_xact_lock(hashtext(${`errand ${KEY}`}))`.execute(tx)
        const next = patchInstallationNetwork(await read(tx), patch)
        const row = { key: KEY, value: JSON.stringify(next) }
        await tx
          .insertInto('settings')
          .values(row)
          .onConflict((conflict) => conflict.column('key').doUpdateSet({ value: row.value }))
          .execute()
        await sql`select pg_notify(${INSTALLATION_CHANNEL}, '')`.execute(tx)
        return next
      }),
  }
}
