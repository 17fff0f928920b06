// Sandboxes that are started ahead of their session.
import { type Kysely, sql } from 'kysely'

const STATEMENTS = `
create table standbys (
  session_id text collate "C" primary key,
  owner_id text not null,
  recipe text not null,
  state text not null check (state in ('starting', 'ready', 'taken')),
  created_at timestamptz not null,
  updated_at timestamptz not null
);
`

export const standbys = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql.raw(STATEMENTS).execute(db)
  },
}
