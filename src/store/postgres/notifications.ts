// Hears what other programs commit: one connection that does nothing but LISTEN, made again when it breaks.
// A notification is a hint and may be lost while the connection is away: after `onReconnect` read again.
import pg from 'pg'
import { backoffMs } from '../../lib/backoff.ts'
import { delay } from '../../lib/deadline.ts'
import type { Logger } from '../../lib/logger.ts'
import {
  CREDENTIALS_CHANNEL,
  EFFECTS_CHANNEL,
  INSTALLATION_CHANNEL,
  LAYERS_CHANNEL,
  LOAD_CHANNEL,
  NETWORK_CHANNEL,
  parseSessionPayload,
  SESSION_CHANNEL,
} from './channels.ts'
import { clientConfig, type DatabaseConnection } from './database.ts'

export interface Notifications {
  /** `seq` is the last one committed, or 0 when the session was removed. Each returns a function that unsubscribes. */
  onSession(listener: (sessionId: string, seq: number) => void): () => void
  onEffects(listener: () => void): () => void
  /** A slot was taken or became free, or the queue of sessions changed. */
  onLoad(listener: () => void): () => void
  /** Something was reported of the sandbox that becomes a layer. */
  onLayer(listener: (sandboxId: string) => void): () => void
  /** The credentials of an owner changed. */
  onCredentials(listener: (ownerId: string) => void): () => void
  /** The owner has changed what holds for the installation. */
  onInstallation(listener: () => void): () => void
  /** The gateway has seen more of a session's traffic. */
  onNetwork(listener: (sessionId: string) => void): () => void
  onReconnect(listener: () => void): () => void
  close(): Promise<void>
}

export interface NotificationsOptions {
  connection: DatabaseConnection
  logger: Logger
  program?: string
}

const CHANNELS = [
  SESSION_CHANNEL,
  EFFECTS_CHANNEL,
  LOAD_CHANNEL,
  LAYERS_CHANNEL,
  CREDENTIALS_CHANNEL,
  INSTALLATION_CHANNEL,
  NETWORK_CHANNEL,
]
const RECONNECT = { firstMs: 50, mostMs: 5_000 }
/** A peer that is gone without a word is noticed after at most the two together. */
const PROBE_EVERY_MS = 20_000
const PROBE_LIMIT_MS = 10_000

/** Resolves once it listens; rejects when the first connection cannot be made. */
export async function createNotifications(options: NotificationsOptions): Promise<Notifications> {
  const listeners = {
    session: new Set<(sessionId: string, seq: number) => void>(),
    effects: new Set<() => void>(),
    load: new Set<() => void>(),
    layer: new Set<(sandboxId: string) => void>(),
    credentials: new Set<(ownerId: string) => void>(),
    installation: new Set<() => void>(),
    network: new Set<(sessionId: string) => void>(),
    reconnect: new Set<() => void>(),
  }
  const hears: Record<string, (payload: string) => void> = {
    [EFFECTS_CHANNEL]: () => tell(listeners.effects),
    [LOAD_CHANNEL]: () => tell(listeners.load),
    [LAYERS_CHANNEL]: (sandboxId) => tell(listeners.layer, sandboxId),
    [CREDENTIALS_CHANNEL]: (ownerId) => tell(listeners.credentials, ownerId),
    [INSTALLATION_CHANNEL]: () => tell(listeners.installation),
    [NETWORK_CHANNEL]: (sessionId) => tell(listeners.network, sessionId),
    [SESSION_CHANNEL]: (payload) => {
      const parsed = parseSessionPayload(payload)
      if (parsed) tell(listeners.session, parsed.sessionId, parsed.seq)
    },
  }
  const hear = ({ channel, payload = '' }: pg.Notification) => hears[channel]?.(payload)
  const closing = new AbortController()
  let current = await listen(options, hear)
  const keep = async () => {
    while (!closing.signal.aborted) {
      await current.broken
      if (closing.signal.aborted) return
      options.logger.warn('the notification connection broke')
      current = await listenAgain(options, hear, closing.signal)
      callAll(listeners.reconnect)
    }
  }
  const kept = keep().catch((error: unknown) => {
    if (!closing.signal.aborted) options.logger.error({ err: error }, 'notifications ended')
  })
  return {
    onSession: (listener) => subscribe(listeners.session, listener),
    onEffects: (listener) => subscribe(listeners.effects, listener),
    onLoad: (listener) => subscribe(listeners.load, listener),
    onLayer: (listener) => subscribe(listeners.layer, listener),
    onCredentials: (listener) => subscribe(listeners.credentials, listener),
    onInstallation: (listener) => subscribe(listeners.installation, listener),
    onNetwork: (listener) => subscribe(listeners.network, listener),
    onReconnect: (listener) => subscribe(listeners.reconnect, listener),
    close: async () => {
      closing.abort(new Error('notifications were closed'))
      await current.end()
      await kept
    },
  }
}

function tell<T extends unknown[]>(listeners: Set<(...args: T) => void>, ...args: T): void {
  for (const listener of listeners) listener(...args)
}

interface Listening {
  /** Resolves when the connection is of no use any more. */
  broken: Promise<void>
  end(): Promise<void>
}

async function listen(
  { connection, program = 'errand' }: NotificationsOptions,
  hear: (notification: pg.Notification) => void,
): Promise<Listening> {
  const client = new pg.Client({
    ...clientConfig(connection),
    application_name: `${program} notifications`,
    query_timeout: PROBE_LIMIT_MS,
  })
  const { promise: broken, resolve: onBroken } = Promise.withResolvers<void>()
  client.on('error', () => onBroken())
  client.on('end', () => onBroken())
  client.on('notification', hear)
  const end = async () => {
    clearInterval(probe)
    onBroken()
    await client.end().catch(() => undefined)
  }
  const probe = setInterval(() => {
    client.query('select 1').catch(() => end())
  }, PROBE_EVERY_MS)
  try {
    await client.connect()
    await client.query(CHANNELS.map((channel) => `listen ${channel}`).join('; '))
  } catch (error) {
    await end()
    throw error
  }
  void broken.then(() => clearInterval(probe))
  return { broken, end }
}

async function listenAgain(
  options: NotificationsOptions,
  hear: (notification: pg.Notification) => void,
  signal: AbortSignal,
): Promise<Listening> {
  for (let attempt = 0; ; attempt++) {
    await delay(backoffMs(RECONNECT, attempt, Math.random()), signal)
    try {
      const made = await listen(options, hear)
      if (!signal.aborted) return made
      await made.end()
    } catch (error) {
      options.logger.debug({ err: error }, 'the database cannot be listened to yet')
    }
  }
}

function callAll(listeners: Set<() => void>): void {
  for (const listener of listeners) listener()
}

function subscribe<T>(listeners: Set<T>, listener: T): () => void {
  listeners.add(listener)
  return () => {
    listeners.delete(listener)
  }
}
