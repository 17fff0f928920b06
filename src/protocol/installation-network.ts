// What the owner sets for the network of every session of this installation, and how a domain pattern is matched. Pure.
import { z } from 'zod'
import {
  domainPatternSchema,
  type NetworkPolicy,
  type TrafficLimits,
  trafficLimitsSchema,
} from './environment.ts'

const listSchema = z.array(domainPatternSchema).max(1000)

export const installationNetworkSchema = z.object({
  /** Allowed at every level but `none`. */
  allow: listSchema.default([]),
  /** Refused at every level, whatever else allows it. */
  deny: listSchema.default([]),
  /** Most that any environment may give; null: what the environment says. */
  limits: z
    .object({
      connectionsPerSecond: trafficLimitsSchema.shape.connectionsPerSecond.unwrap().nullable(),
      bytesPerDay: trafficLimitsSchema.shape.bytesPerDay.unwrap().nullable(),
    })
    .default({ connectionsPerSecond: null, bytesPerDay: null }),
})
export type InstallationNetwork = z.infer<typeof installationNetworkSchema>

/** What is absent stays as it is. */
export const installationNetworkPatchSchema = z.object({
  allow: listSchema.optional(),
  deny: listSchema.optional(),
  limits: installationNetworkSchema.shape.limits.unwrap().partial().optional(),
})
export type InstallationNetworkPatch = z.infer<typeof installationNetworkPatchSchema>

export function patchInstallationNetwork(
  current: InstallationNetwork,
  { allow, deny, limits }: InstallationNetworkPatch,
): InstallationNetwork {
  const unique = (list: string[]) => [...new Set(list)].sort()
  return {
    allow: unique(allow ?? current.allow),
    deny: unique(deny ?? current.deny),
    limits: { ...current.limits, ...limits },
  }
}

/** The lower of the two, each for itself. */
export function joinLimits(
  environment: TrafficLimits,
  { limits }: InstallationNetwork,
): TrafficLimits {
  const { connectionsPerSecond, bytesPerDay } = environment
  return {
    connectionsPerSecond: Math.min(connectionsPerSecond, limits.connectionsPerSecond ?? Infinity),
    bytesPerDay: Math.min(bytesPerDay, limits.bytesPerDay ?? Infinity),
  }
}

const WEB_PORTS = [80, 443]

/**
 * Whether one of the patterns names this host and port. `ports`: those that an entry without a port stands for; left out,
 * all of them. It says what people are shown; what a session reaches is decided in the gateway.
 */
export function namesHost(
  patterns: readonly string[],
  { host, port }: { host: string; port: number },
  ports?: readonly number[],
): boolean {
  return patterns.some((pattern) => {
    const [, name = '', own] = /^(.*?)(?::(\d+))?$/.exec(pattern) ?? []
    const isHost = name.startsWith('*.') ? host.endsWith(name.slice(1)) : host === name
    return isHost && (own === undefined ? (ports?.includes(port) ?? true) : Number(own) === port)
  })
}

/** Whether the policy's own list names it, or it allows every host. */
export function policyNames(policy: NetworkPolicy, at: { host: string; port: number }): boolean {
  if (policy.level === 'full') return true
  return policy.level === 'custom' && namesHost(policy.domains, at, WEB_PORTS)
}

/** What somebody adds to a list to allow a host that was refused. */
export function patternFor({ host, port }: { host: string; port: number }): string {
  return WEB_PORTS.includes(port) ? host : `${host}:${port}`
}

/** The host and port that a pattern of one host names; null for a whole domain. */
export function hostOfPattern(pattern: string): { host: string; port: number } | null {
  const [, host = '', port] = /^(.*?)(?::(\d+))?$/.exec(pattern) ?? []
  return host.startsWith('*.') ? null : { host, port: port === undefined ? 443 : Number(port) }
}
