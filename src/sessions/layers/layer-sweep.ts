// Takes away layers that nobody needs: those that were replaced, are too old, are known to nobody, or are over the budget,
// the least recently used first. A work tree does not age: its commit says what is in it. Never one that a sandbox is made from: sandboxd refuses that.
import { delay } from '../../lib/deadline.ts'
import type { Logger } from '../../lib/logger.ts'
import { toAppError } from '../../protocol/errors.ts'
import type { Layer, LayerStore } from '../../store/layers.ts'
import { LAYER_LASTS_MS } from './layers.ts'

export interface LayerSweepDeps {
  store: Pick<LayerStore, 'list' | 'markStale' | 'remove'>
  sandboxes: {
    listLayers(): Promise<{ layerId: string; bytes: number }[]>
    removeLayer(layerId: string): Promise<void>
  }
  logger: Logger
}

export interface LayerSweepOptions {
  /** What all of them together may take on the disk. */
  budgetBytes: number
  lookMs: number
}

/** A session that was given it has made its sandbox by then. */
const CHOSEN_MS = 120_000
const FAILED_KEPT_MS = 24 * 3_600_000

export function startLayerSweep(deps: LayerSweepDeps, options: LayerSweepOptions) {
  const closing = new AbortController()
  const sweeping = (async () => {
    while (!closing.signal.aborted) {
      await sweepLayers(deps, options.budgetBytes, Date.now()).catch((err: unknown) =>
        deps.logger.warn({ err }, 'layers could not be looked through'),
      )
      await delay(options.lookMs, closing.signal).catch(() => undefined)
    }
  })()
  return {
    close: async () => {
      closing.abort()
      await sweeping
    },
  }
}

export async function sweepLayers(
  { store, sandboxes, logger }: LayerSweepDeps,
  budgetBytes: number,
  nowMs: number,
): Promise<void> {
  const rows = await store.list()
  const kept = new Map((await sandboxes.listLayers()).map((one) => [one.layerId, one.bytes]))
  const drop = async (layerId: string) => {
    if (kept.has(layerId) && !(await tryRemove(sandboxes, layerId))) return
    kept.delete(layerId)
    await store.remove(layerId)
  }
  const known = new Set(rows.map(({ id }) => id))
  for (const layerId of [...kept.keys()]) if (!known.has(layerId)) await drop(layerId)

  const old = rows.filter(
    ({ state, checkout, madeAt }) =>
      state === 'ready' && checkout === null && ageOf(madeAt, nowMs) > LAYER_LASTS_MS,
  )
  if (old.length > 0) await store.markStale({ ids: old.map(({ id }) => id) })
  const ready = rows.filter((row) => row.state === 'ready' && !old.includes(row))
  for (const row of [...rows.filter((one) => isUseless(one, nowMs)), ...old]) await drop(row.id)
  for (const { id } of ready) if (!kept.has(id)) await store.remove(id)

  const free = ready.filter(({ usedAt }) => ageOf(usedAt, nowMs) > CHOSEN_MS)
  for (const { id } of free) {
    const total = [...kept.values()].reduce((sum, bytes) => sum + bytes, 0)
    if (total <= budgetBytes) return
    const bytes = kept.get(id) ?? 0
    if (bytes > budgetBytes)
      logger.warn(
        { layer: id, bytes, budgetBytes },
        'a layer is larger than what all may take: it is made anew each time; raise ERRAND_LAYERS_GIB',
      )
    await drop(id)
  }
}

function isUseless({ state, updatedAt, deadlineAt }: Layer, nowMs: number): boolean {
  switch (state) {
    case 'stale':
      return true
    case 'failed':
      return ageOf(updatedAt, nowMs) > FAILED_KEPT_MS
    case 'building':
      // Its maker has died, and nobody has come for it since.
      return ageOf(deadlineAt, nowMs) > CHOSEN_MS
    case 'ready':
      return false
  }
}

function ageOf(at: Date | null, nowMs: number): number {
  return at === null ? 0 : nowMs - at.getTime()
}

async function tryRemove(
  sandboxes: LayerSweepDeps['sandboxes'],
  layerId: string,
): Promise<boolean> {
  try {
    await sandboxes.removeLayer(layerId)
    return true
  } catch (error) {
    if (toAppError(error).reason === 'layer_in_use') return false
    throw error
  }
}
