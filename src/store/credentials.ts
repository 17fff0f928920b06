// Credentials of an owner, for git hosts and for APIs. Secrets go in sealed and come out for the gateway and git; lists never
// hold them. What a secret was stored for (owner, host, kind, username, binding) is part of its seal: whoever can only write
// the database cannot have it sent to another host, or added in another way.
import { randomBytes } from 'node:crypto'
import { type Kysely, sql } from 'kysely'
import {
  type Binding,
  bindingSchema,
  type CredentialKind,
  type GitCredentialKind,
} from '../protocol/credential.ts'
import { AppError } from '../protocol/errors.ts'
import { createId } from '../protocol/ids.ts'
import { CREDENTIALS_CHANNEL } from './postgres/channels.ts'
import type { Database } from './schema.ts'
import type { Sealer } from './sealing.ts'

export interface NewCredential {
  ownerId: string
  /** Host name, with `:port` where it is not the usual one; kept in lower case. */
  host: string
  kind: CredentialKind
  username: string
  /** A token or password, or a private key. */
  secret: string
  /** Of API credentials: where and how the gateway adds it. */
  binding?: Binding | undefined
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
  binding: Binding | null
}

export interface OpenCredential extends Credential {
  secret: string
}

export interface GitPlace {
  host: string
  kind: GitCredentialKind
  /** Of the session's credential: its own when it stood in its address, which nobody else uses. */
  ownId?: string | null
}

export interface CredentialStore {
  create(credential: NewCredential): Promise<Credential>
  get(ownerId: string, id: string): Promise<Credential | undefined>
  list(ownerId: string): Promise<Credential[]>
  /** A session's own one where that still is there, else the latest one for that host. */
  find(ownerId: string, place: GitPlace): Promise<Credential | undefined>
  /** The secret itself; notes the use. */
  openSecret(ownerId: string, id: string): Promise<string>
  /** All of an owner with their secrets, those of single sessions too: for the gateway, which adds and redacts them. One that
   * was damaged is left out and told of. */
  openAll(
    ownerId: string,
    onUnreadable: (id: string, error: unknown) => void,
  ): Promise<OpenCredential[]>
  noteUse(ownerId: string, id: string): Promise<void>
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
  'binding',
] as const

/** Without a sealer (a program that has no key) everything works but what needs the secret. */
export function createCredentialStore(
  db: Kysely<Database>,
  clock: () => Date,
  sealer: Sealer | undefined,
): CredentialStore {
  const owned = (ownerId: string) =>
    db.selectFrom('credentials').select(COLUMNS).where('owner_id', '=', ownerId)
  const tellChange = (ownerId: string) =>
    sql`select pg_notify(${CREDENTIALS_CHANNEL}, ${ownerId})`.execute(db)
  return {
    create: async ({ secret, isShared = true, ...fields }) => {
      const { ownerId, kind, username, binding = null } = fields
      const id = createId('credential', randomBytes(20))
      const host = fields.host.toLowerCase()
      const sealed = needKey(sealer).seal(
        secret,
        sealContext({ id, owner_id: ownerId, host, kind, username, binding }),
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
          binding: binding && JSON.stringify(binding),
          created_at: clock(),
        })
        .returning(COLUMNS)
        .executeTakeFirstOrThrow()
      await tellChange(ownerId)
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
      // Who lists them is to see them all, and can remove each; with a binding that cannot be read none is ever sent.
      return rows.map((row) => ({
        ...toCredential({ ...row, binding: null }),
        binding: bindingSchema.safeParse(row.binding).data ?? null,
      }))
    },
    find: async (ownerId, { host, kind, ownId = null }) => {
      const query = owned(ownerId)
        .where((eb) => eb.or([eb('is_shared', '=', true), eb('id', '=', ownId)]))
        .where('host', '=', host.toLowerCase())
        .where('kind', '=', kind)
        .orderBy('is_shared')
        .orderBy('created_at', 'desc')
      const row = await query.limit(1).executeTakeFirst()
      return row && toCredential(row)
    },
    ...createOpening(db, clock, sealer),
    remove: async (ownerId, id) => {
      const query = db.deleteFrom('credentials').where('owner_id', '=', ownerId)
      const { numDeletedRows } = await query.where('id', '=', id).executeTakeFirst()
      if (numDeletedRows > 0n) await tellChange(ownerId)
      return numDeletedRows > 0n
    },
    removeUnshared: async (ownerId, id) => {
      const query = db.deleteFrom('credentials').where('owner_id', '=', ownerId)
      await query.where('id', '=', id).where('is_shared', '=', false).execute()
    },
  }
}

/** What takes secrets out, or notes that one was used. */
function createOpening(
  db: Kysely<Database>,
  clock: () => Date,
  sealer: Sealer | undefined,
): Pick<CredentialStore, 'openSecret' | 'openAll' | 'noteUse'> {
  return {
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
      return needKey(sealer).open(row.secret, sealContext(row))
    },
    openAll: async (ownerId, onUnreadable) => {
      const rows = await db
        .selectFrom('credentials')
        .select([...COLUMNS, 'secret'])
        .where('owner_id', '=', ownerId)
        .orderBy('created_at')
        .execute()
      const key = needKey(sealer)
      return rows.flatMap((row) => {
        try {
          return [{ ...toCredential(row), secret: key.open(row.secret, sealContext(row)) }]
        } catch (error) {
          onUnreadable(row.id, error)
          return []
        }
      })
    },
    noteUse: async (ownerId, id) => {
      const query = db.updateTable('credentials').set({ last_used_at: clock() })
      await query.where('owner_id', '=', ownerId).where('id', '=', id).execute()
    },
  }
}

function needKey(sealer: Sealer | undefined): Sealer {
  if (sealer) return sealer
  throw new AppError('unavailable', 'sealing_key_missing', 'this program holds no key for secrets')
}

/** Without a binding it is as it was before there were any, so that what was sealed then still opens. */
function sealContext({ id, owner_id, host, kind, username, binding }: SealedRow): string {
  const parts = [id, owner_id, host, kind, username]
  return JSON.stringify(binding ? [...parts, binding] : parts)
}

/** The binding as it is stored: what a later version reads into it does not count. */
type SealedRow = Pick<Row, 'id' | 'owner_id' | 'host' | 'kind' | 'username' | 'binding'>

interface Row {
  id: string
  owner_id: string
  host: string
  kind: string
  username: string
  created_at: Date
  last_used_at: Date | null
  binding: unknown
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
    binding: row.binding === null ? null : bindingSchema.parse(row.binding),
  }
}
