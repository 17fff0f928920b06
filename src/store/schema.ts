// The tables as Kysely sees them. JSON columns are `json`, not `jsonb`: `jsonb` refuses NUL characters and lone
// surrogates, which tool output and prompts do contain. Written as text, read as values.
import type { ColumnType, Generated } from 'kysely'

type Json = ColumnType<unknown, string, string>
type Timestamp = ColumnType<Date, Date, Date>
type NullableTimestamp = ColumnType<Date | null, Date | null | undefined, Date | null>

export interface SessionsTable {
  id: string
  owner_id: string
  status: string
  sandbox_state: string
  state: Json
  last_seq: number
  runner_acked_n: Generated<number>
  sandbox_generation: number
  deadline_at: NullableTimestamp
  created_at: Timestamp
  updated_at: Timestamp
  archived_at: NullableTimestamp
  /** Set while the session waits for a slot. */
  queued_at: NullableTimestamp
  /** What it was made with; null for sessions of versions that did not note it. */
  first_turn_id: ColumnType<string | null, string | null | undefined, never>
}

export interface EventsTable {
  session_id: string
  seq: number
  at: Timestamp
  source: string
  type: string
  body: Json
}

export interface EffectsTable {
  id: string
  position: Generated<number>
  session_id: string
  kind: string
  lane: string
  payload: Json
  state: string
  generation: Generated<number>
  attempt: Generated<number>
  owner: string | null
  deadline_at: NullableTimestamp
  run_after: Timestamp
  error: ColumnType<unknown, string | null | undefined, string | null>
  created_at: Timestamp
  updated_at: Timestamp
}

export interface EnvironmentsTable {
  id: string
  owner_id: string
  name: string
  fields: Json
  created_at: Timestamp
  archived_at: NullableTimestamp
}

export interface CredentialsTable {
  id: string
  owner_id: string
  host: string
  kind: string
  username: string
  secret: Buffer
  is_shared: boolean
  binding: ColumnType<unknown, string | null | undefined, string | null>
  created_at: Timestamp
  last_used_at: NullableTimestamp
}

export interface UploadsTable {
  id: string
  owner_id: string
  name: string
  created_at: Timestamp
}

export interface StandbysTable {
  session_id: string
  owner_id: string
  recipe: string
  state: string
  has_agent: boolean
  created_at: Timestamp
  updated_at: Timestamp
}

export interface LayersTable {
  id: string
  key: string
  owner_id: string
  environment_id: string
  state: string
  sandbox_id: string | null
  recipe: ColumnType<unknown, string | null | undefined, string | null>
  holder: string | null
  deadline_at: NullableTimestamp
  log: Json
  log_count: Generated<number>
  acked_n: Generated<number>
  has_ended: Generated<boolean>
  exit_code: number | null
  failure: ColumnType<unknown, string | null | undefined, string | null>
  bytes: Generated<number>
  /** These three only of a work tree. */
  repository_url: string | null
  repository_name: string | null
  commit_id: string | null
  created_at: Timestamp
  updated_at: Timestamp
  made_at: NullableTimestamp
  used_at: Timestamp
}

export interface UsageRequestsTable {
  session_id: string
  request_id: string
  created_at: Timestamp
}

/** Numbers of 64 bits come as text. */
export interface NetworkLogTable {
  session_id: string
  id: string
  n: string
  at: Timestamp
  host: string
  port: number
  method: string
  allowed: boolean
  reason: string | null
  bytes_up: string
  bytes_down: string
  duration_ms: ColumnType<string | null, string | null, string | number | null>
  count: number
}

export interface NetworkUsageTable {
  session_id: string
  day: string
  bytes_up: string
  bytes_down: string
}

export interface SettingsTable {
  key: string
  value: Json
}

export interface Database {
  sessions: SessionsTable
  events: EventsTable
  effects: EffectsTable
  environments: EnvironmentsTable
  credentials: CredentialsTable
  uploads: UploadsTable
  standbys: StandbysTable
  layers: LayersTable
  usage_requests: UsageRequestsTable
  network_log: NetworkLogTable
  network_usage: NetworkUsageTable
  settings: SettingsTable
}
