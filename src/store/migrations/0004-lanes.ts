// Effects of a session run in lanes that do not wait for each other, and an effect may outlive its session, to take away
// what is left of it.
import { type Kysely, sql } from 'kysely'

const STATEMENTS = `
alter table effects add column lane text not null default 'sandbox';
alter table effects alter column lane drop default;
update effects set lane = 'changes' where kind = 'changes.measure';
update effects set lane = 'outward' where kind = 'push.forward';
drop index effects_one_leased;
create unique index effects_one_leased on effects (session_id, lane)
  where state in ('running', 'cancelling');
alter table effects drop constraint effects_session_id_fkey;
`

export const lanes = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql.raw(STATEMENTS).execute(db)
  },
}
