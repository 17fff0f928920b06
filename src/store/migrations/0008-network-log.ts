// What the gateway has seen of each session's traffic, and how much it has moved on each day.
import { type Kysely, sql } from 'kysely'

const STATEMENTS = `
create table network_log (
  session_id text collate "C" not null references sessions (id) on delete cascade,
  id text not null,
  n bigint not null,
  at timestamptz not null,
  host text not null,
  port integer not null,
  method text not null,
  allowed boolean not null,
  reason text,
  bytes_up bigint not null,
  bytes_down bigint not null,
  duration_ms bigint,
  count integer not null,
  primary key (session_id, id)
);
create index network_log_n on network_log (session_id, n);
create table network_usage (
  session_id text collate "C" not null references sessions (id) on delete cascade,
  day text not null,
  bytes_up bigint not null,
  bytes_down bigint not null,
  primary key (session_id, day)
);
`

export const networkLog = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql.raw(STATEMENTS).execute(db)
  },
}
