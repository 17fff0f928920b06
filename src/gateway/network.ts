// What the owner has set for the network of all sessions, as the gateway holds it: read when it starts, and again whenever it
// was changed. It keeps the last that it could read.
import type { Logger } from '../lib/logger.ts'
import type { InstallationNetwork } from '../protocol/installation-network.ts'
import type { InstallationNetworkStore } from '../store/installation-network.ts'
import type { Notifications } from '../store/postgres/notifications.ts'

export interface NetworkWatch {
  get(): InstallationNetwork
  close(): void
}

export interface NetworkWatchDeps {
  store: Pick<InstallationNetworkStore, 'get'>
  notifications: Pick<Notifications, 'onInstallation' | 'onReconnect'>
  onChange(): void
  logger: Logger
}

export async function createNetworkWatch(deps: NetworkWatchDeps): Promise<NetworkWatch> {
  const { store, notifications, onChange, logger } = deps
  let current = await store.get()
  const read = async () => {
    const next = await store.get()
    if (JSON.stringify(next) === JSON.stringify(current)) return
    current = next
    onChange()
  }
  // One after the other: an answer that was overtaken would bring back what was before.
  let reading = Promise.resolve()
  const refresh = () => {
    reading = reading.then(read).catch((error: unknown) => {
      logger.warn({ err: error }, "reading the installation's network failed")
    })
  }
  const stops = [notifications.onInstallation(refresh), notifications.onReconnect(refresh)]
  return {
    get: () => current,
    close: () => {
      for (const stop of stops) stop()
    },
  }
}
