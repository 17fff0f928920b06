// What people do with sessions, for the HTTP room: the rules of `dispatch` joined with reading and removing.
import { randomBytes } from 'node:crypto'
import type { GitClient } from './git/client.ts'
import type { SessionsApi } from './http/deps.ts'
import { readDiff } from './ports.ts'
import { AppError } from './protocol/errors.ts'
import type { UnreadableSession } from './protocol/found-session.ts'
import { createId } from './protocol/ids.ts'
import type { SessionState } from './protocol/session.ts'
import type { Dispatch } from './sessions/dispatch.ts'
import type { CheckoutLayers } from './sessions/layers/checkout-layers.ts'
import { removeSession } from './sessions/removal.ts'
import { hasSlot, placesIn } from './sessions/rules/slots.ts'
import type { Standbys } from './sessions/standbys.ts'
import type { GitDefaults } from './sessions/starting/git-defaults.ts'
import { type CreateCommand, planSession } from './sessions/starting/new-session.ts'
import type { CredentialStore } from './store/credentials.ts'
import type { SessionDirectory } from './store/sessions.ts'
import type { Store } from './store/store.ts'

export interface SessionsApiDeps {
  store: Store
  dispatch: Dispatch
  git: GitClient
  drivers: readonly string[]
  standbys: Standbys
  checkouts: Pick<CheckoutLayers, 'has'>
  settings: { concurrency: number; git: GitDefaults }
}

export function createSessionsApi({
  store,
  dispatch,
  git,
  drivers,
  standbys,
  checkouts,
  settings,
}: SessionsApiDeps): SessionsApi {
  const { environments, credentials, uploads, sessions: directory } = store
  const random = () => randomBytes(20)
  return {
    create: (owner, asked) =>
      once(directory, { ownerId: owner.id, ...asked }, async () => {
        const found = { environments, credentials, uploads, directory, drivers }
        const deps = { ...found, git: settings.git }
        const command = await planSession(deps, owner, { asked, now: new Date(), random })
        // A session that would have to queue leaves it to one that can use it now.
        const isFree = hasSlot(await directory.readLoad(), '', settings.concurrency)
        // A large work tree that is there already gains more than an agent that waits, and cannot be added to its sandbox.
        const mayTake = isFree && !(await checkouts.has(owner.id, command.repository))
        const waiting = mayTake ? await standbys.take(command) : undefined
        const id = waiting ?? createId('session', random())
        const state = await dispatch.create(id, command).catch(async (error: unknown) => {
          if (existsAlready(error)) await removeOwnCredentials(credentials, command)
          throw error
        })
        if (waiting) await standbys.settle(waiting)
        return state
      }),
    command: (sessionId, command) => dispatch.command(sessionId, command),
    findByPrefix: directory.findByPrefix,
    list: (ownerId, page) => directory.list({ ownerId, ...page }),
    listBegun: async (ownerId, turnId) => {
      const session = await directory.findByFirstTurn(ownerId, turnId)
      return { sessions: session ? [session] : [], next: null }
    },
    places: async () => placesIn(await directory.readLoad()),
    readEvents: store.readEvents,
    network: store.networkLog,
    diff: (sessionId, repository) => readDiff(git, { sessionId, repository }),
    remove: async (sessionId) => {
      const found = await directory.find(sessionId)
      await removeSession({ directory, effects: store.effects }, sessionId)
      if (found) await removeOwnCredentials(credentials, found)
    },
  }
}

/** Those that stood in the addresses of a session that is gone, or never was. */
async function removeOwnCredentials(
  credentials: Pick<CredentialStore, 'removeUnshared'>,
  session: UnreadableSession | Pick<CreateCommand, 'ownerId' | 'repository' | 'additional'>,
): Promise<void> {
  for (const id of credentialIdsOf(session)) await credentials.removeUnshared(session.ownerId, id)
}

function credentialIdsOf(
  session: UnreadableSession | Pick<CreateCommand, 'repository' | 'additional'>,
): string[] {
  if ('isUnreadable' in session) return session.credentialIds
  const { repository, additional = [] } = session
  return [repository, ...additional].flatMap(({ source }) =>
    source.kind === 'remote' && source.credentialId ? [source.credentialId] : [],
  )
}

function existsAlready(error: unknown): boolean {
  return error instanceof AppError && error.reason === 'session_exists'
}

/**
 * What is sent again, because the answer did not arrive, is the session that was made before, also while the first request is
 * still at work.
 */
async function once(
  directory: Pick<SessionDirectory, 'findByFirstTurn'>,
  { ownerId, turnId }: { ownerId: string; turnId?: string | undefined },
  make: () => Promise<SessionState>,
): Promise<SessionState> {
  const made = async () =>
    turnId === undefined ? undefined : directory.findByFirstTurn(ownerId, turnId)
  const before = await made()
  if (before) return before
  try {
    return await make()
  } catch (error) {
    // A sandbox that it has taken is taken away by whoever keeps those that wait.
    if (!existsAlready(error)) throw error
    const beside = await made()
    if (!beside) throw error
    return beside
  }
}
