// A session may be asked for again by the id of its first turn, which is then of one session of its owner only.
import { type Kysely, sql } from 'kysely'

const STATEMENTS = `
alter table sessions add column first_turn_id text collate "C";
create unique index sessions_first_turn on sessions (owner_id, first_turn_id);
`

export const firstTurns = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql.raw(STATEMENTS).execute(db)
  },
}
