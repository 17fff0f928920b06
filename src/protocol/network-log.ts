// What the gateway has seen of a session's traffic: one entry for each connection outward and each refusal. Beside the event
// log, since there may be thousands: the newest are kept.
import { z } from 'zod'
import { networkPolicySchema, trafficLimitsSchema } from './environment.ts'
import { installationNetworkSchema, patternFor } from './installation-network.ts'
import { registrySchema } from './reach.ts'

export const networkEntrySchema = z.object({
  id: z.string(),
  /** Grows with each change: an entry that is told again has a new one, and takes the place of the earlier. */
  n: z.int(),
  /** ISO 8601, UTC: when it was asked for. */
  at: z.string(),
  host: z.string(),
  port: z.int(),
  method: z.string(),
  /** Whether the rules let it through; it may have failed all the same, or have been ended. */
  allowed: z.boolean(),
  reason: z.string().nullable(),
  bytesUp: z.number(),
  bytesDown: z.number(),
  /** Null while it is open. */
  durationMs: z.number().nullable(),
  /** How many alike this stands for, asked for within the same moment. */
  count: z.int(),
})
export type NetworkEntry = z.infer<typeof networkEntrySchema>

export const networkUsageSchema = z.object({
  /** The day in UTC, as ISO 8601 writes it. */
  day: z.string(),
  bytesUp: z.number(),
  bytesDown: z.number(),
})
export type NetworkUsage = z.infer<typeof networkUsageSchema>

export const networkQuerySchema = z.object({
  /** Entries with a greater `n` only. */
  after: z.coerce.number().int().min(0).default(0),
  limit: z.coerce.number().int().min(1).max(1000).default(1000),
})

export const networkPageSchema = z.object({
  entries: z.array(networkEntrySchema),
  /** Read on after this one. */
  through: z.int(),
  more: z.boolean(),
})
export type NetworkPage = z.infer<typeof networkPageSchema>

export const sessionNetworkSchema = networkPageSchema.extend({
  /** What it may reach now, by itself and by the owner of the installation. */
  network: networkPolicySchema,
  installation: installationNetworkSchema,
  limits: trafficLimitsSchema,
  /** Of today. */
  usage: networkUsageSchema,
  /** What the package managers of its image are set up for; allowed where trusted is. */
  registries: z.array(registrySchema),
})
export type SessionNetwork = z.infer<typeof sessionNetworkSchema>

/** All connections to one host that were let through, or all that were not; the ports of the web are one. */
export interface HostTotal {
  host: string
  /** As `at` and the reason of the latest. */
  port: number
  allowed: boolean
  reason: string | null
  count: number
  open: number
  bytesUp: number
  bytesDown: number
  /** Of the latest. */
  at: string
}

/** By host, latest first. A connection that was let through counts as allowed, whatever became of it. */
export function totalByHost(entries: Iterable<NetworkEntry>): HostTotal[] {
  const totals = new Map<string, HostTotal>()
  for (const entry of entries) {
    const { host, port, allowed, at } = entry
    const reason = allowed ? null : entry.reason
    const key = JSON.stringify([patternFor({ host, port }), allowed])
    const before = totals.get(key)
    const isLatest = !before || before.at <= at
    totals.set(key, {
      ...{ host, allowed, ...(isLatest ? { port, reason, at } : before) },
      count: (before?.count ?? 0) + entry.count,
      open: (before?.open ?? 0) + (entry.durationMs === null ? 1 : 0),
      bytesUp: (before?.bytesUp ?? 0) + entry.bytesUp,
      bytesDown: (before?.bytesDown ?? 0) + entry.bytesDown,
    })
  }
  return [...totals.values()].sort((a, b) => (a.at < b.at ? 1 : -1))
}
