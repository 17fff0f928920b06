// Layers that setup scripts make: what is being made, what is there, and what failed for those who waited.
import { type Kysely, sql } from 'kysely'

const STATEMENTS = `
create table layers (
  id text collate "C" primary key,
  key text not null,
  owner_id text not null,
  environment_id text not null,
  state text not null check (state in ('building', 'ready', 'stale', 'failed')),
  sandbox_id text collate "C" unique,
  recipe json,
  holder text,
  deadline_at timestamptz,
  log json not null,
  log_count integer not null default 0,
  acked_n bigint not null default 0,
  has_ended boolean not null default false,
  exit_code integer,
  failure json,
  bytes bigint not null default 0,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  made_at timestamptz,
  used_at timestamptz not null
);
create unique index layers_building on layers (key) where state = 'building';
create index layers_key on layers (key, created_at);
`

export const layers = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql.raw(STATEMENTS).execute(db)
  },
}
