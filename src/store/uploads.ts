// Commits that the CLI pushed from a disk and that no session has taken yet: who owns which.
import type { Kysely, Selectable } from 'kysely'
import type { Database, UploadsTable } from './schema.ts'

export interface Upload {
  id: string
  ownerId: string
  name: string
  createdAt: string
}

export interface UploadStore {
  /** The id is that of the repository, which git has made. */
  create(ownerId: string, upload: { id: string; name: string }): Promise<Upload>
  get(ownerId: string, id: string): Promise<Upload | undefined>
  /** Of every owner, oldest first: for whoever clears up. */
  listCreatedBefore(time: Date, limit: number): Promise<Upload[]>
  remove(id: string): Promise<boolean>
}

export function createUploadStore(db: Kysely<Database>, clock: () => Date): UploadStore {
  return {
    create: async (ownerId, { id, name }) => {
      const query = db.insertInto('uploads')
      const row = { id, owner_id: ownerId, name, created_at: clock() }
      return toUpload(await query.values(row).returningAll().executeTakeFirstOrThrow())
    },
    get: async (ownerId, id) => {
      const query = db.selectFrom('uploads').selectAll().where('owner_id', '=', ownerId)
      const row = await query.where('id', '=', id).executeTakeFirst()
      return row && toUpload(row)
    },
    listCreatedBefore: async (time, limit) => {
      const query = db.selectFrom('uploads').selectAll().where('created_at', '<', time)
      return (await query.orderBy('created_at').limit(limit).execute()).map(toUpload)
    },
    remove: async (id) => {
      const result = await db.deleteFrom('uploads').where('id', '=', id).executeTakeFirst()
      return result.numDeletedRows > 0n
    },
  }
}

function toUpload(row: Selectable<UploadsTable>): Upload {
  return {
    id: row.id,
    ownerId: row.owner_id,
    name: row.name,
    createdAt: row.created_at.toISOString(),
  }
}
