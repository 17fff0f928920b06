// What the owner has set for the network of all sessions, as the gateway holds it: read when it starts, and again whenever it
// was changed. It keeps the last that it could read.
import type { Logger } from '../lib/logger.ts'
import { createRefresher } from '../lib/refresher.ts'
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
  const refresher = createRefresher({
    read,
    onError: (err) => logger.warn({ err }, "the installation's network could not be read yet"),
  })
  const refresh = () => refresher.refresh('installation')
  const stops = [
    notifications.onInstallation(refresh),
    notifications.onReconnect(refresh),
    refresher.close,
  ]
  return {
    get: () => current,
    close: () => {
      for (const stop of stops) stop()
    },
  }
}
