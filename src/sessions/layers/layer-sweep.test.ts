// Which layers are taken away.
import { expect, it, vi } from 'vitest'
import { createSilentLogger } from '../../lib/logger.ts'
import { AppError } from '../../protocol/errors.ts'
import type { Layer } from '../../store/layers.ts'
import { sweepLayers } from './layer-sweep.ts'

const NOW = Date.parse('2026-03-10T00:00:00Z')
const HOUR_MS = 3_600_000
const hoursAgo = (hours: number) => new Date(NOW - hours * HOUR_MS)

function row(id: string, change: Partial<Layer> = {}): Layer {
  return {
    ...{ id, key: id, ownerId: 'ann', environmentId: 'e', state: 'ready', sandboxId: null },
    ...{
      recipe: null,
      deadlineAt: null,
      checkout: null,
      log: [],
      logCount: 0,
      ackedN: 0,
      hasEnded: true,
    },
    ...{ exitCode: 0, failure: null, bytes: 0 },
    ...{ madeAt: hoursAgo(1), updatedAt: hoursAgo(1), usedAt: hoursAgo(1) },
    ...change,
  }
}

/** What is left of rows and of kept layers, each of 10 bytes. */
async function sweep(
  rows: Layer[],
  { kept = rows.map(({ id }) => id), used = [''], budget = 1000 },
) {
  const left = { rows: rows.map(({ id }) => id), kept: [...kept] }
  const stale: string[] = []
  const without = (ids: string[], id: string) => ids.filter((one) => one !== id)
  const logger = createSilentLogger()
  const warn = vi.spyOn(logger, 'warn')
  const deps = {
    store: {
      list: async () => rows,
      markStale: async (which: { ids: string[] } | { ownerId: string }) => {
        if ('ids' in which) stale.push(...which.ids)
        return 0
      },
      remove: async (id: string) => {
        left.rows = without(left.rows, id)
      },
    },
    sandboxes: {
      listLayers: async () => kept.map((layerId) => ({ layerId, bytes: 10 })),
      removeLayer: async (id: string) => {
        if (used.includes(id)) throw new AppError('conflict', 'layer_in_use', 'in use')
        left.kept = without(left.kept, id)
      },
    },
    logger,
  }
  await sweepLayers(deps, budget, NOW)
  return { ...left, stale, warned: warn.mock.calls.map(([what]) => what) }
}

it('keeps the most recently used ones within the budget', async () => {
  const rows = [3, 2, 1].map((hours) => row(`${hours}h`, { usedAt: hoursAgo(hours) }))
  expect(await sweep(rows, { budget: 20 })).toMatchObject({
    rows: ['2h', '1h'],
    kept: ['2h', '1h'],
  })
})

it('tells of a layer that is larger than all may be together', async () => {
  const { kept, warned } = await sweep([row('large')], { budget: 9 })
  expect(kept).toEqual([])
  expect(warned).toEqual([{ layer: 'large', bytes: 10, budgetBytes: 9 }])
})

it('keeps what a sandbox is made from, and what was chosen just now', async () => {
  const rows = [
    row('used', { usedAt: hoursAgo(9) }),
    row('free'),
    row('new', { usedAt: hoursAgo(0) }),
  ]
  const { kept } = await sweep(rows, { used: ['used'], budget: 0 })
  expect(kept).toEqual(['used', 'new'])
})

it('takes away what was replaced, what nobody knows, and rows without a layer', async () => {
  const rows = [row('stale', { state: 'stale' }), row('in use', { state: 'stale' }), row('gone')]
  const left = await sweep(rows, { kept: ['stale', 'in use', 'unknown'], used: ['in use'] })
  expect(left).toMatchObject({ rows: ['in use'], kept: ['in use'] })
})

it('gives nobody what is older than seven days', async () => {
  const old = { madeAt: hoursAgo(7 * 24 + 1) }
  const left = await sweep([row('old', old), row('used', old), row('young')], { used: ['used'] })
  expect(left).toMatchObject({ rows: ['used', 'young'], kept: ['used', 'young'] })
  expect(left.stale).toEqual(['old', 'used'])
})

it('forgets failures after a day and a making that nobody goes on with', async () => {
  const building = { state: 'building', madeAt: null } as const
  const rows = [
    row('failed', { state: 'failed', updatedAt: hoursAgo(25) }),
    row('failed now', { state: 'failed' }),
    row('building', { ...building, deadlineAt: hoursAgo(-1) }),
    row('left', { ...building, deadlineAt: hoursAgo(1) }),
  ]
  const left = await sweep(rows, { kept: [] })
  expect(left.rows).toEqual(['failed now', 'building'])
})
