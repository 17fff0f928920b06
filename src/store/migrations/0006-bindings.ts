// Credentials for APIs beside those for git: of more kinds, and with a binding that says where and how they are added.
import { type Kysely, sql } from 'kysely'

const STATEMENTS = `
alter table credentials drop constraint credentials_kind_check;
alter table credentials add constraint credentials_kind_check
  check (kind in ('https', 'ssh', 'bearer', 'header', 'basic', 'query'));
alter table credentials add column binding json;
`

export const bindings = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql.raw(STATEMENTS).execute(db)
  },
}
