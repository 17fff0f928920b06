// Since when a session waits for a slot: the order of the queue, by the clock of the database.
import { type Kysely, sql } from 'kysely'

const STATEMENTS = `
alter table sessions add column queued_at timestamptz;
update sessions set queued_at = updated_at where status = 'queued';
create index sessions_in_load on sessions (queued_at, id) where status in ('working', 'queued');
`

export const queue = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql.raw(STATEMENTS).execute(db)
  },
}
