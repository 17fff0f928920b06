// Layers may also hold the work tree of a commit: of which repository, as its sessions see it, and of which commit.
import { type Kysely, sql } from 'kysely'

const STATEMENTS = `
alter table layers add column repository_url text;
alter table layers add column repository_name text;
alter table layers add column commit_id text;
create index layers_checkouts on layers (owner_id, repository_url, repository_name, used_at)
  where commit_id is not null;
`

export const checkoutLayers = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql.raw(STATEMENTS).execute(db)
  },
}
