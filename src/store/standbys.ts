// Which sandboxes wait for a session. Each has the id of the session that it will be; one is taken by one session only.
import type { Kysely, Selectable } from 'kysely'
import type { Database, StandbysTable } from './schema.ts'

/** `taken`: a session with its id is being made, or was; the row goes once that session exists. */
export type StandbyState = 'starting' | 'ready' | 'taken'

export interface Standby {
  sessionId: string
  ownerId: string
  /** What it was made from: only a session that would be made from the same may take it. */
  recipe: string
  state: StandbyState
  /** It waits with an agent that is started. */
  hasAgent: boolean
  updatedAt: Date
}

export interface StandbyStore {
  add(standby: Pick<Standby, 'sessionId' | 'ownerId' | 'recipe' | 'hasAgent'>): Promise<void>
  /** It waits for work. Does nothing when it is not known or taken already. */
  markReady(sessionId: string): Promise<void>
  /** The id of one that nobody else gets, with or without an agent as `hasAgent` says if there is one; undefined when none is ready. */
  take(wanted: Pick<Standby, 'ownerId' | 'recipe' | 'hasAgent'>): Promise<string | undefined>
  has(sessionId: string): Promise<boolean>
  /** Oldest first. */
  list(): Promise<Standby[]>
  /** False: somebody else has removed it. */
  remove(sessionId: string): Promise<boolean>
  /** False also when somebody has taken it. */
  removeFree(sessionId: string): Promise<boolean>
}

export function createStandbyStore(db: Kysely<Database>, clock: () => Date): StandbyStore {
  return {
    add: async ({ sessionId, ownerId, recipe, hasAgent }) => {
      const now = clock()
      const row = { session_id: sessionId, owner_id: ownerId, recipe, has_agent: hasAgent }
      const times = { created_at: now, updated_at: now }
      await db
        .insertInto('standbys')
        .values({ ...row, state: 'starting', ...times })
        .execute()
    },
    markReady: async (sessionId) => {
      await db
        .updateTable('standbys')
        .set({ state: 'ready', updated_at: clock() })
        .where('session_id', '=', sessionId)
        .where('state', '=', 'starting')
        .execute()
    },
    take: async ({ ownerId, recipe, hasAgent }) => {
      const free = db
        .selectFrom('standbys')
        .select('session_id')
        .where('owner_id', '=', ownerId)
        .where('recipe', '=', recipe)
        .where('state', '=', 'ready')
        .orderBy('has_agent', hasAgent ? 'desc' : 'asc')
        .orderBy('created_at')
        .limit(1)
        .forUpdate()
        .skipLocked()
      const row = await db
        .updateTable('standbys')
        .set({ state: 'taken', updated_at: clock() })
        .where('session_id', '=', free)
        .returning('session_id')
        .executeTakeFirst()
      return row?.session_id
    },
    has: async (sessionId) => {
      const row = db.selectFrom('standbys').select('session_id')
      return (await row.where('session_id', '=', sessionId).executeTakeFirst()) !== undefined
    },
    list: async () => {
      const rows = db.selectFrom('standbys').selectAll().orderBy('created_at')
      return (await rows.execute()).map(toStandby)
    },
    remove: async (sessionId) => {
      const query = db.deleteFrom('standbys').where('session_id', '=', sessionId)
      return (await query.executeTakeFirst()).numDeletedRows > 0n
    },
    removeFree: async (sessionId) => {
      const query = db.deleteFrom('standbys').where('session_id', '=', sessionId)
      const free = query.where('state', '<>', 'taken')
      return (await free.executeTakeFirst()).numDeletedRows > 0n
    },
  }
}

function toStandby(row: Selectable<StandbysTable>): Standby {
  return {
    sessionId: row.session_id,
    ownerId: row.owner_id,
    recipe: row.recipe,
    state: row.state as StandbyState,
    hasAgent: row.has_agent,
    updatedAt: row.updated_at,
  }
}
