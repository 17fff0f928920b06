// The doors that a gateway finds when it starts: sandboxes have gone on without it.
import type { Doors } from '../door/doors.ts'
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
}

/** Sandboxes that run already find their door again; a door that an earlier gateway could not close goes. */
export async function reopenDoors({
  store,
  watch,
  builds,
  log,
  doors,
}: ReopenedDoorsDeps): Promise<void> {
  // In this order: one that waits becomes a session before it is none that waits.
  const standbys = await store.standbys.list()
  const layers = await store.layers.list()
  const sessions = await store.sessions.listBySandboxState(['preparing', 'ready'])
  const ids = new Set([
    ...sessions.map(({ id }) => id),
    ...standbys.map(({ sessionId }) => sessionId),
    ...layers.flatMap(({ state, sandboxId }) => (state === 'building' ? (sandboxId ?? []) : [])),
  ])
  for (const id of await doors.found())
    if (!ids.has(id) && !doors.list().includes(id)) await doors.remove(id)
  for (const id of ids) {
    if (!(await watch.follow(id))) await builds.follow(id)
    await log.load(id)
    await doors.open(id)
  }
}
