// The first tables. A migration that has been released is never edited: write the next one.
import { type Kysely, sql } from 'kysely'

// Ids use collation "C": prefix search uses the primary key whatever the database's own collation is.
// At most one effect of a session holds a lease: the unique index says so even where two workers race.
const STATEMENTS = `
create table sessions (
  id text collate "C" primary key,
  owner_id text not null,
  status text not null,
  sandbox_state text not null,
  state json not null,
  last_seq bigint not null,
  runner_acked_n bigint not null default 0,
  sandbox_generation bigint not null default 0,
  deadline_at timestamptz,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  archived_at timestamptz
);
create index sessions_by_owner on sessions (owner_id, updated_at desc, id desc);
create index sessions_by_update on sessions (updated_at desc, id desc);
create index sessions_by_deadline on sessions (deadline_at) where deadline_at is not null;
create index sessions_by_sandbox_state on sessions (sandbox_state);

create table events (
  session_id text collate "C" not null references sessions (id) on delete cascade,
  seq bigint not null check (seq >= 1),
  at timestamptz not null,
  source text not null,
  type text not null,
  body json not null,
  primary key (session_id, seq)
);

create table effects (
  id text collate "C" primary key,
  position bigint generated always as identity,
  session_id text collate "C" not null references sessions (id) on delete cascade,
  kind text not null,
  payload json not null,
  state text not null
    check (state in ('queued', 'running', 'cancelling', 'done', 'failed', 'cancelled')),
  generation bigint not null default 0,
  attempt bigint not null default 0,
  owner text,
  deadline_at timestamptz,
  run_after timestamptz not null,
  error json,
  created_at timestamptz not null,
  updated_at timestamptz not null
);
create unique index effects_one_leased on effects (session_id)
  where state in ('running', 'cancelling');
create index effects_queued on effects (position) where state = 'queued';
create index effects_leased on effects (deadline_at) where state in ('running', 'cancelling');
create index effects_by_session on effects (session_id);

create table environments (
  id text collate "C" primary key,
  owner_id text not null,
  name text not null,
  fields json not null,
  created_at timestamptz not null,
  archived_at timestamptz
);
create unique index environments_by_name on environments (owner_id, name) where archived_at is null;

create table credentials (
  id text collate "C" primary key,
  owner_id text not null,
  host text not null,
  kind text not null check (kind in ('https', 'ssh')),
  username text not null,
  secret bytea not null,
  is_shared boolean not null,
  created_at timestamptz not null,
  last_used_at timestamptz
);
create index credentials_by_owner on credentials (owner_id, host);

create table uploads (
  id text collate "C" primary key,
  owner_id text not null,
  name text not null,
  created_at timestamptz not null
);

create table usage_requests (
  session_id text collate "C" not null references sessions (id) on delete cascade,
  request_id text not null,
  created_at timestamptz not null,
  primary key (session_id, request_id)
);

create table settings (
  key text primary key,
  value json not null
);
`

export const initial = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql.raw(STATEMENTS).execute(db)
  },
}
