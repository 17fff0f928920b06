// Saved environments of an owner. An archived one stays readable and frees its name. One that this version cannot read is in no
// list; whoever asks for it is told so, never given another one in its place, which might reach more.
import { randomBytes } from 'node:crypto'
import type { Kysely } from 'kysely'
import {
  type Environment,
  type EnvironmentFields,
  environmentFieldsSchema,
} from '../protocol/environment.ts'
import { AppError } from '../protocol/errors.ts'
import { createId } from '../protocol/ids.ts'
import {
  createEnvironmentDefaultStore,
  type EnvironmentDefaultStore,
} from './environment-defaults.ts'
import { sqlState, UNIQUE_VIOLATION } from './postgres/database-errors.ts'
import type { Database } from './schema.ts'
import type { SettingsStore } from './settings.ts'

export interface EnvironmentStore extends EnvironmentDefaultStore {
  create(ownerId: string, fields: EnvironmentFields): Promise<Environment>
  get(ownerId: string, id: string): Promise<Environment | undefined>
  /** By id or, among those that are not archived, by name. */
  find(ownerId: string, idOrName: string): Promise<Environment | undefined>
  /** Oldest first. */
  list(ownerId: string, options?: { includeArchived?: boolean }): Promise<Environment[]>
  /** `change` gets it as it is saved then, and is pure: of two at once the second one sees what the first one saved. */
  update(
    ownerId: string,
    id: string,
    change: (saved: Environment) => EnvironmentFields,
  ): Promise<Environment>
  archive(ownerId: string, id: string): Promise<Environment>
}

const DEFAULT_NAME = 'Default'
const COLUMNS = ['id', 'name', 'fields', 'archived_at'] as const
const UNREADABLE = 'environment_unreadable'

export function isUnreadableEnvironment(error: unknown): boolean {
  return error instanceof AppError && error.reason === UNREADABLE
}

export function createEnvironmentStore(
  db: Kysely<Database>,
  clock: () => Date,
  settings: SettingsStore,
): EnvironmentStore {
  const owned = (ownerId: string, on = db) =>
    on.selectFrom('environments').select(COLUMNS).where('owner_id', '=', ownerId)
  const living = (ownerId: string, on = db) => owned(ownerId, on).where('archived_at', 'is', null)
  const one = async (query: ReturnType<typeof owned>) => {
    const row = await query.executeTakeFirst()
    return row && toEnvironment(row)
  }
  const get: EnvironmentStore['get'] = (ownerId, id) => one(owned(ownerId).where('id', '=', id))
  const insert = (ownerId: string, fields: EnvironmentFields) =>
    db
      .insertInto('environments')
      .values({
        id: createId('environment', randomBytes(20)),
        owner_id: ownerId,
        name: fields.name,
        fields: JSON.stringify(fields),
        created_at: clock(),
      })
      .returning(COLUMNS)
  const changed = (ownerId: string, id: string, on = db) =>
    on
      .updateTable('environments')
      .where('owner_id', '=', ownerId)
      .where('id', '=', id)
      .where('archived_at', 'is', null)
      .returning(COLUMNS)
  const oldest = (ownerId: string) =>
    one(living(ownerId).orderBy('created_at').orderBy('id').limit(1))

  const list: EnvironmentStore['list'] = async (ownerId, { includeArchived = false } = {}) => {
    const query = includeArchived ? owned(ownerId) : living(ownerId)
    const rows = await query.orderBy('created_at').orderBy('id').execute()
    return rows.flatMap((row) => (readFields(row) ? [toEnvironment(row)] : []))
  }
  const ensureOne = async (ownerId: string) => {
    const existing = await oldest(ownerId)
    if (existing) return existing
    const fields = environmentFieldsSchema.parse({ name: DEFAULT_NAME })
    await insert(ownerId, fields)
      .onConflict((conflict) => conflict.doNothing())
      .execute()
    return found(await oldest(ownerId))
  }

  return {
    ...createEnvironmentDefaultStore({ get, list, ensureOne }, settings),
    get,
    create: (ownerId, fields) =>
      refuseTakenName(async () =>
        toEnvironment(await insert(ownerId, fields).executeTakeFirstOrThrow()),
      ),
    find: async (ownerId, idOrName) =>
      (await get(ownerId, idOrName)) ?? one(living(ownerId).where('name', '=', idOrName)),
    list,
    update: (ownerId, id, change) =>
      refuseTakenName(() =>
        db.transaction().execute(async (tx) => {
          const saved = living(ownerId, tx).where('id', '=', id).forUpdate()
          const fields = change(found(await saved.executeTakeFirst()))
          const values = { name: fields.name, fields: JSON.stringify(fields) }
          return found(await changed(ownerId, id, tx).set(values).executeTakeFirst())
        }),
      ),
    archive: async (ownerId, id) =>
      toArchived(await changed(ownerId, id).set({ archived_at: clock() }).executeTakeFirst()),
  }
}

interface Row {
  id: string
  name: string
  fields: unknown
  archived_at: Date | null
}

function found(value: Row | Environment | undefined): Environment {
  if (value === undefined) {
    throw new AppError('not_found', 'environment_not_found', 'there is no such environment')
  }
  return 'fields' in value ? toEnvironment(value) : value
}

function readFields({ fields }: Row): EnvironmentFields | undefined {
  return environmentFieldsSchema.safeParse(fields).data
}

function toEnvironment(row: Row): Environment {
  const { id, name, archived_at } = row
  const fields = readFields(row)
  if (fields) return { ...fields, id, archivedAt: archived_at?.toISOString() ?? null }
  const message = `This version of Errand cannot read the environment ${name}, as when a later version has saved it. Start that version again, or archive the environment: errand environment archive ${id}`
  throw new AppError('unsupported', UNREADABLE, message)
}

/** Nothing more is done with it: of one that cannot be read the name is enough. */
function toArchived(row: Row | undefined): Environment {
  if (!row || readFields(row)) return found(row)
  return toEnvironment({ ...row, fields: { name: row.name } })
}

async function refuseTakenName<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (sqlState(error) !== UNIQUE_VIOLATION) throw error
    const message = 'there is another environment of this name'
    throw new AppError('conflict', 'environment_name_taken', message, { cause: error })
  }
}
