// The credentials of the owners whose sandboxes run, opened and kept in memory: which of them a session's requests get, what
// stands for them inside, and what is taken out of everything that a sandbox reports. Kept current by notifications.
import { type BoundCredential, toBound, variablesFor } from '../egress/rules/bound-credentials.ts'
import type { Logger } from '../lib/logger.ts'
import { createRedactor, type Redactor } from '../lib/redact.ts'
import { createRefresher } from '../lib/refresher.ts'
import type { CredentialStore, OpenCredential } from '../store/credentials.ts'
import type { Notifications } from '../store/postgres/notifications.ts'

/** Of an owner's credentials, those that sessions of one environment have. */
export interface SessionCredentials {
  bound: readonly BoundCredential[]
  /** Variables of credentials, each with a placeholder that is worth nothing, and which host it is for. */
  variables: Record<string, string>
  redactor: Redactor
}

export interface CredentialWatch {
  /** What it holds already; nothing before `follow` has resolved for this owner. */
  get(ownerId: string, environmentId: string): SessionCredentials
  /** Changes with each change of this owner's credentials. */
  version(ownerId: string): number
  /** Reads them once and keeps them current from then on. */
  follow(ownerId: string): Promise<void>
  used(ownerId: string, credential: BoundCredential): void
  close(): void
}

export interface CredentialWatchDeps {
  store: Pick<CredentialStore, 'openAll' | 'noteUse'>
  notifications: Pick<Notifications, 'onCredentials' | 'onReconnect'>
  /** No credential is ever added to requests to the model's own host. */
  modelHost: string | null
  /** Of the model, which are taken out as well. */
  modelSecrets: () => readonly string[]
  onChange(): void
  logger: Logger
}

/** A use is noted so often at most. */
const NOTE_MS = 60_000

interface Known {
  version: number
  credentials: readonly OpenCredential[]
  redactor: Redactor
}

export function createCredentialWatch(deps: CredentialWatchDeps): CredentialWatch {
  const { store, notifications, modelHost, modelSecrets, logger } = deps
  const known = new Map<string, Promise<Known> | Known>()
  const noted = new Map<string, number>()
  let versions = 0
  const withoutAny = createRedactor(modelSecrets())
  const read = async (ownerId: string): Promise<Known> => {
    const credentials = await store.openAll(ownerId, (id, err) =>
      logger.error({ err, credential: id }, 'a credential cannot be opened and is left out'),
    )
    const redactor = createRedactor([
      ...modelSecrets(),
      ...credentials.flatMap(({ kind, username, secret }) =>
        kind === 'basic' ? [secret, `${username}:${secret}`] : [secret],
      ),
    ])
    const now = { version: ++versions, credentials, redactor }
    known.set(ownerId, now)
    return now
  }
  const { refresh, close } = createRefresher({
    read: async (ownerId) => {
      // The first reading, which would overtake this one, ends before; when it failed nobody has these.
      const first = await Promise.resolve(known.get(ownerId)).catch(() => undefined)
      if (!first) return
      await read(ownerId)
      deps.onChange()
    },
    onError: (err) => logger.warn({ err }, 'the credentials of an owner could not be read yet'),
  })
  const stops = [
    notifications.onCredentials(refresh),
    notifications.onReconnect(() => {
      for (const ownerId of known.keys()) refresh(ownerId)
    }),
    close,
  ]
  const current = (ownerId: string): Known | undefined => {
    const found = known.get(ownerId)
    return found && 'version' in found ? found : undefined
  }
  return {
    get: (ownerId, environmentId) => {
      const { credentials = [], redactor = withoutAny } = current(ownerId) ?? {}
      const bound = credentials.flatMap((credential) => {
        const only = credential.binding?.environmentId ?? null
        if (only !== null && only !== environmentId) return []
        return toBound(credential, modelHost) ?? []
      })
      return { bound, variables: variablesFor(bound), redactor }
    },
    version: (ownerId) => current(ownerId)?.version ?? 0,
    follow: async (ownerId) => {
      if (!known.has(ownerId)) {
        const reading = read(ownerId)
        known.set(ownerId, reading)
        reading.catch(() => known.delete(ownerId))
      }
      await known.get(ownerId)
    },
    used: (ownerId, { id }) => {
      const nowMs = Date.now()
      if (nowMs - (noted.get(id) ?? 0) < NOTE_MS) return
      noted.set(id, nowMs)
      store
        .noteUse(ownerId, id)
        .catch((err: unknown) => logger.warn({ err }, 'the use of a credential was not noted'))
    },
    close: () => {
      for (const stop of stops) stop()
    },
  }
}
