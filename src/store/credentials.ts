// Credentials of an owner for git hosts. Secrets go in sealed and come out one at a time; lists never hold them.
// What a secret was stored for (owner, host, kind, username) is part of its seal: whoever can only write the database
// cannot have it sent to another host.
import { randomBytes } from 'node:crypto'
import type { Kysely } from 'kysely'
import { AppError } from '../protocol/errors.ts'
import { createId } from '../protocol/ids.ts'
import type { Database } from './schema.ts'
import type { Sealer } from './sealing.ts'

export type CredentialKind = 'https' | 'ssh'

export interface NewCredential {
  ownerId: string
  /** Host name, with `:port` where it is not the usual one; kept in lower case. */
  host: string
  kind: CredentialKind
  username: string
  /** A token or password, or a private key. */
  secret: string
  /** False: of one session alone, which names it by id; not listed and not found by host. */
  isShared?: boolean
}

export interface Credential {
  id: string
  ownerId: string
  host: string
  kind: CredentialKind
  username: string
  createdAt: string
  lastUsedAt: string | null
}

export interface CredentialStore {
  create(credential: NewCredential): Promise<Credential>
  get(ownerId: string, id: string): Promise<Credential | undefined>
  list(ownerId: string): Promise<Credential[]>
  /** The latest one for that host. */
  find(ownerId: string, host: string, kind?: CredentialKind): Promise<Credential | undefined>
  /** The secret itself; notes the use. */
  openSecret(ownerId: string, id: string): Promise<string>
  remove(ownerId: string, id: string): Promise<boolean>
  /** Of a session that is gone; a shared one stays. */
  removeUnshared(ownerId: string, id: string): Promise<void>
}

const COLUMNS = [
  'id',
  'owner_id',
  'host',
  'kind',
  'username',
  'created_at',
  'last_used_at',
] as const

/** Without a sealer (a program that has no key) everything works but what needs the secret. */
export function createCredentialStore(
  db: Kysely<Database>,
  clock: () => Date,
  sealer: Sealer | undefined,
): CredentialStore {
  const owned = (ownerId: string) =>
    db.selectFrom('credentials').select(COLUMNS).where('owner_id', '=', ownerId)
  return {
    create: async ({ secret, isShared = true, ...fields }) => {
      const { ownerId, kind, username } = fields
      const id = createId('credential', randomBytes(20))
      const host = fields.host.toLowerCase()
      const sealed = needKey(sealer).seal(
        secret,
        sealContext({ id, ownerId, host, kind, username }),
      )
      const row = await db
        .insertInto('credentials')
        .values({
          id,
          owner_id: ownerId,
          host,
          kind,
          username,
          secret: sealed,
          is_shared: isShared,
          created_at: clock(),
        })
        .returning(COLUMNS)
        .executeTakeFirstOrThrow()
      return toCredential(row)
    },
    get: async (ownerId, id) => {
      const row = await owned(ownerId).where('id', '=', id).executeTakeFirst()
      return row && toCredential(row)
    },
    list: async (ownerId) => {
      const rows = await owned(ownerId)
        .where('is_shared', '=', true)
        .orderBy('host')
        .orderBy('created_at')
        .execute()
      return rows.map(toCredential)
    },
    find: async (ownerId, host, kind) => {
      let query = owned(ownerId)
        .where('is_shared', '=', true)
        .where('host', '=', host.toLowerCase())
      if (kind) query = query.where('kind', '=', kind)
      const row = await query.orderBy('created_at', 'desc').limit(1).executeTakeFirst()
      return row && toCredential(row)
    },
    openSecret: async (ownerId, id) => {
      const row = await db
        .updateTable('credentials')
        .set({ last_used_at: clock() })
        .where('owner_id', '=', ownerId)
        .where('id', '=', id)
        .returning([...COLUMNS, 'secret'])
        .executeTakeFirst()
      if (!row) {
        throw new AppError('not_found', 'credential_not_found', 'there is no such credential')
      }
      return needKey(sealer).open(row.secret, sealContext(toCredential(row)))
    },
    remove: async (ownerId, id) => {
      const query = db.deleteFrom('credentials').where('owner_id', '=', ownerId)
      return (await query.where('id', '=', id).executeTakeFirst()).numDeletedRows > 0n
    },
    removeUnshared: async (ownerId, id) => {
      const query = db.deleteFrom('credentials').where('owner_id', '=', ownerId)
      await query.where('id', '=', id).where('is_shared', '=', false).execute()
    },
  }
}

function needKey(sealer: Sealer | undefined): Sealer {
  if (sealer) return sealer
  throw new AppError('unavailable', 'sealing_key_missing', 'this program holds no key for secrets')
}

function sealContext(fields: Pick<Credential, 'id' | 'ownerId' | 'host' | 'kind' | 'username'>) {
  const { id, ownerId, host, kind, username } = fields
  return JSON.stringify([id, ownerId, host, kind, username])
}

interface Row {
  id: string
  owner_id: string
  host: string
  kind: string
  username: string
  created_at: Date
  last_used_at: Date | null
}

function toCredential(row: Row): Credential {
  return {
    id: row.id,
    ownerId: row.owner_id,
    host: row.host,
    kind: row.kind as CredentialKind,
    username: row.username,
    createdAt: row.created_at.toISOString(),
    lastUsedAt: row.last_used_at?.toISOString() ?? null,
  }
}
