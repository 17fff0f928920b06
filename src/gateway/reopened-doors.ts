// The doors that a gateway finds when it starts: sandboxes have gone on without it.
import type { Doors } from '../door/doors.ts'
import type { Backoff } from '../lib/backoff.ts'
import type { Logger } from '../lib/logger.ts'
import { createRefresher, type Refresher } from '../lib/refresher.ts'
import type { Store } from '../store/store.ts'
import type { LayerBuilds } from './layers.ts'
import type { NetworkLog } from './network-log.ts'
import type { SessionWatch } from './sessions.ts'

export interface ReopenedDoorsDeps {
  store: {
    sessions: Pick<Store['sessions'], 'listBySandboxState'>
    standbys: Pick<Store['standbys'], 'list'>
    layers: Pick<Store['layers'], 'list'>
  }
  watch: Pick<SessionWatch, 'follow'>
  builds: Pick<LayerBuilds, 'follow'>
  log: Pick<NetworkLog, 'load'>
  doors: Pick<Doors, 'open' | 'remove' | 'list' | 'found'>
  logger: Logger
  retry?: Backoff
}

/** One that fails for good, such as over a damaged file, is no reason to fill the log. */
const RETRY: Backoff = { firstMs: 1_000, mostMs: 60_000 }

/**
 * Sandboxes that run already find their door again; a door that an earlier gateway could not close goes. One that cannot be
 * opened keeps neither the others nor the gateway: it is tried again until what is returned is closed.
 */
export async function reopenDoors({
  store,
  watch,
  builds,
  log,
  doors,
  logger,
  retry = RETRY,
}: ReopenedDoorsDeps): Promise<Pick<Refresher, 'close'>> {
  const open = async (id: string) => {
    if (!(await watch.follow(id))) await builds.follow(id)
    await log.load(id)
    await doors.open(id)
  }
  const onError = (err: unknown, sessionId: string) =>
    logger.warn({ err, sessionId }, 'the door of a sandbox that runs could not be opened yet')
  const later = createRefresher({
    read: async (id) => {
      if ((await listWanted(store)).has(id)) await open(id)
    },
    ...{ onError, retry },
  })
  const wanted = await listWanted(store)
  for (const id of await doors.found()) {
    if (wanted.has(id) || doors.list().includes(id)) continue
    await doors
      .remove(id)
      .catch((err) =>
        logger.warn({ err, sessionId: id }, 'a door that is left could not be removed'),
      )
  }
  for (const id of wanted) {
    await open(id).catch((err) => {
      onError(err, id)
      later.refresh(id)
    })
  }
  return later
}

async function listWanted({ standbys, layers, sessions }: ReopenedDoorsDeps['store']) {
  // In this order: one that waits becomes a session before it is none that waits.
  const waiting = await standbys.list()
  const made = await layers.list()
  const running = await sessions.listBySandboxState(['preparing', 'ready'])
  return new Set([
    ...running.map(({ id }) => id),
    ...waiting.map(({ sessionId }) => sessionId),
    ...made.flatMap(({ state, sandboxId }) => (state === 'building' ? (sandboxId ?? []) : [])),
  ])
}
