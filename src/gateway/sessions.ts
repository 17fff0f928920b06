// What the gateway knows of the sessions whose doors are open: their state, kept current by notifications, and the
// egress rules compiled from it. A session that is not known is refused everything.

import type { AllowedNetwork } from '../config.ts'
import type { Registry } from '../egress/registries/registry-files.ts'
import { compileRules, type EgressRules } from '../egress/rules/policy.ts'
import { registriesOf } from '../image/registries.ts'
import type { Logger } from '../lib/logger.ts'
import { createRefresher } from '../lib/refresher.ts'
import type { TrafficLimits } from '../protocol/environment.ts'
import { type InstallationNetwork, joinLimits } from '../protocol/installation-network.ts'
import type { SessionState } from '../protocol/session.ts'
import type { Notifications } from '../store/postgres/notifications.ts'
import type { SessionDirectory } from '../store/sessions.ts'
import type { CredentialWatch, SessionCredentials } from './credentials.ts'

export interface KnownSession {
  state: SessionState
  rules: EgressRules
  /** How much it may move, by its environment and the owner. */
  traffic: TrafficLimits
  /** What the image's package managers are configured for. */
  registries: Registry[]
  credentials: SessionCredentials
  /** What the rules were compiled from, to see whether they have to be again. */
  madeFrom: string
}

export interface SessionWatch {
  get(sessionId: string): KnownSession | undefined
  /** Reads the session and keeps it current from now on; undefined when there is none. */
  follow(sessionId: string): Promise<KnownSession | undefined>
  /** What the owner has set for all of them has changed. */
  recompile(): void
  forget(sessionId: string): void
  close(): void
}

export interface SessionWatchDeps {
  directory: SessionDirectory
  notifications: Notifications
  installation: {
    registries: Registry[]
    allowedNetworks: AllowedNetwork[]
    namedImagesDir: string
  }
  /** What the owner has set, as it is now. */
  network(): InstallationNetwork
  credentials: Pick<CredentialWatch, 'get' | 'version' | 'follow'>
  onChange(session: KnownSession): void
  /** The rules are other ones than before. */
  onRules(sessionId: string, rules: EgressRules): void
  logger: Logger
}

export const NO_RULES = compileRules(
  { level: 'none', domains: [], includeTrusted: false },
  { registries: [], allowedNetworks: [] },
)

export function createSessionWatch(deps: SessionWatchDeps): SessionWatch {
  const known = new Map<string, KnownSession | undefined>()
  const read = async (sessionId: string) => {
    const state = await deps.directory.get(sessionId)
    const reach = state && (await reachOf(state, known.get(sessionId), deps))
    if (!known.has(sessionId)) return undefined
    const previous = known.get(sessionId)
    if (previous && state && previous.state.lastSeq > state.lastSeq) return previous
    const session = state && reach && { state, ...reach }
    known.set(sessionId, session)
    if (session && session.rules !== previous?.rules) deps.onRules(sessionId, session.rules)
    if (session) deps.onChange(session)
    return session
  }
  const { refresh, close } = createRefresher({
    read: async (sessionId) => {
      if (known.has(sessionId)) await read(sessionId)
    },
    onError: (err, sessionId) =>
      deps.logger.warn({ err, sessionId }, 'a session could not be read yet'),
  })
  const recompile = () => {
    for (const sessionId of known.keys()) refresh(sessionId)
  }
  const stops = [
    deps.notifications.onSession(refresh),
    deps.notifications.onReconnect(recompile),
    close,
  ]
  return {
    get: (sessionId) => known.get(sessionId),
    follow: (sessionId) => {
      if (!known.has(sessionId)) known.set(sessionId, undefined)
      return read(sessionId)
    },
    recompile,
    forget: (sessionId) => {
      known.delete(sessionId)
    },
    close: () => {
      for (const stop of stops) stop()
    },
  }
}

/** Compiled again only when the policy changed: most events do not touch it. */
async function reachOf(
  state: SessionState,
  previous: KnownSession | undefined,
  {
    installation,
    network,
    credentials,
  }: Pick<SessionWatchDeps, 'installation' | 'network' | 'credentials'>,
): Promise<Pick<KnownSession, 'rules' | 'registries' | 'traffic' | 'credentials' | 'madeFrom'>> {
  const { ownerId, environment } = state
  const { network: policy, image, traffic } = environment
  await credentials.follow(ownerId)
  const ingredients = () =>
    JSON.stringify([policy, traffic, network(), credentials.version(ownerId)])
  if (previous?.madeFrom === ingredients()) {
    const { rules, registries, traffic: limits, credentials: lent, madeFrom } = previous
    return { rules, registries, traffic: limits, credentials: lent, madeFrom }
  }
  const registries = await registriesOf(image, installation)
  // As it is now: it may have been changed meanwhile.
  const lists = network()
  const lent = credentials.get(ownerId, environment.id)
  const rules = compileRules(policy, { ...installation, registries, lists }, lent.bound)
  const limits = joinLimits(traffic, lists)
  return { rules, registries, traffic: limits, credentials: lent, madeFrom: ingredients() }
}
