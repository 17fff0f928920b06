// Sandboxes may wait without an agent.
import { type Kysely, sql } from 'kysely'

export const standbyAgents = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql`alter table standbys add column has_agent boolean not null default true`.execute(db)
  },
}
