// What the HTTP room is given by the roof. Everything that belongs to somebody takes the owner's id as its first argument,
// so that a lookup without an owner cannot be written.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { z } from 'zod'
import type { Logger } from '../lib/logger.ts'
import type {
  Delta,
  Diff,
  EventPage,
  Installation,
  newSessionSchema,
  newUploadSchema,
  Place,
  SessionSummary,
  TrustedHosts,
  User,
} from '../protocol/api.ts'
import type { UserCommand } from '../protocol/command.ts'
import type { Image } from '../protocol/environment.ts'
import type { FoundSession } from '../protocol/found-session.ts'
import type { SessionState } from '../protocol/session.ts'
import type { CredentialStore } from '../store/credentials.ts'
import type { EnvironmentStore } from '../store/environments.ts'
import type { InstallationNetworkStore } from '../store/installation-network.ts'
import type { LayerStore } from '../store/layers.ts'
import type { NetworkLogStore } from '../store/network-log.ts'
import type { Accounts } from './sign-in/accounts.ts'

export type SessionCommand = Exclude<UserCommand, { type: 'session.create' }>

/** Refusals are AppErrors. */
export interface SessionsApi {
  /** Looks up environment, upload and source session by owner; `environment_not_found` and the like otherwise. */
  create(
    owner: { id: string; name: string },
    fields: z.output<typeof newSessionSchema>,
  ): Promise<SessionState>
  command(sessionId: string, command: SessionCommand): Promise<SessionState>
  /** Of one owner, by the start of an id; at most ten. */
  findByPrefix(ownerId: string, prefix: string): Promise<FoundSession[]>
  list(
    ownerId: string,
    page: { limit: number; before?: string; includeArchived: boolean },
  ): Promise<{ sessions: FoundSession[]; next: string | null }>
  /** That which began with this turn. */
  listBegun(ownerId: string, turnId: string): Promise<{ sessions: SessionState[]; next: null }>
  /** Of all sessions that wait for a free slot, whoever they belong to. */
  places(): Promise<ReadonlyMap<string, Place>>
  readEvents(sessionId: string, range: { afterSeq: number; limit: number }): Promise<EventPage>
  /** `repository`: which of the additional ones; the main one without. */
  diff(sessionId: string, repository?: string): Promise<Diff>
  network: Pick<NetworkLogStore, 'read' | 'usage'>
  /** Removes sandbox, repository, events: everything; also of a session whose state cannot be read. */
  remove(sessionId: string): Promise<void>
}

/** As the store has them. */
type EnvironmentsApi = Pick<
  EnvironmentStore,
  | 'list'
  | 'create'
  | 'get'
  | 'find'
  | 'update'
  | 'archive'
  | 'ensureDefault'
  | 'defaults'
  | 'setDefault'
>
type CredentialsApi = Pick<CredentialStore, 'list' | 'create' | 'remove'>

export interface UploadsApi {
  /** Makes the empty repository that the CLI pushes to. */
  create(ownerId: string, fields: z.output<typeof newUploadSchema>): Promise<{ id: string }>
  has(ownerId: string, id: string): Promise<boolean>
}

/** A change is a hint to read again; `removed` says that there is nothing to read any more. */
export interface SessionListener {
  changed(): void
  delta(delta: Delta): void
  /** Null: it does not wait any more. */
  placed(place: Place | null): void
  removed(): void
}
export interface OwnerListener {
  session(summary: SessionSummary): void
  removed(sessionId: string): void
  /** Something may have been missed: read the list again. */
  reset(): void
}
export interface LiveFeed {
  watchSession(sessionId: string, listener: SessionListener): () => void
  watchOwner(ownerId: string, listener: OwnerListener): () => void
  /** Its network log has more. */
  watchNetwork(sessionId: string, listener: () => void): () => void
}

/** The smart HTTP door of git for people: `push` to an upload, `fetch` from a session's repository. */
export interface GitRequest {
  target: { kind: 'upload' | 'session'; id: string; repository?: string }
  /** Below the repository, with the query: `info/refs?service=git-upload-pack`, `git-receive-pack`, `info/lfs/objects/batch`. */
  rest: string
  access: 'push' | 'fetch'
  /** The address of the repository as the caller sees it. */
  base: string
  incoming: IncomingMessage
  outgoing: ServerResponse
}
/** Writes the whole response to `outgoing`; rejects with AppError only while nothing was written. */
export type GitDoor = (request: GitRequest) => Promise<void>

interface Site {
  /** Exactly these values of `Host` are answered, `127.0.0.1:8420` for instance. */
  hosts: readonly string[]
  /** Exactly these origins may change something with a cookie: `http://127.0.0.1:8420`. The first makes the links. */
  origins: readonly string[]
  /** The built page. */
  webFolder: string
  version: string
  installation(user: User): Promise<Omit<Installation, 'version' | 'user'>>
  /** What the owner sets for the network of every session. */
  network: InstallationNetworkStore
  /** What `trusted` allows in a sandbox of this image. */
  trusted(image: Image): Promise<Omit<TrustedHosts, 'environment'>>
  logger: Logger
}

export interface HttpDeps {
  accounts: Accounts
  sessions: SessionsApi
  owned: {
    environments: EnvironmentsApi
    layers: Pick<LayerStore, 'markStale'>
    credentials: CredentialsApi
    uploads: UploadsApi
  }
  live: LiveFeed
  gitDoor: GitDoor
  site: Site
}
