// What a session may reach, compiled for quick answers: the environment's network policy joined with what the owner set up
// for this installation. Pure; `decide.ts` asks it.
import type { NetworkLevel, NetworkPolicy } from '../protocol/environment.ts'
import { type Network, parseNetwork } from './addresses.ts'
import { parseAuthority, parseHost } from './hosts.ts'
import { TRUSTED_DOMAINS } from './trusted-domains.ts'

/** Where a host of the lists may be reached when its entry names no port. */
const WEB_PORTS: readonly number[] = [80, 443]

/** The owner's word that `host` may be at an address of `network`, although that is no public one. */
export interface AllowedNetwork {
  /** A host name, `*.` and a domain, or an address. */
  host: string
  /** CIDR, such as 10.20.0.0/16. */
  network: string
}

export interface AllowedRegistry {
  host: string
  port: number
}

/** The owner's settings that hold for every session of this installation. */
export interface InstallationEgress {
  registries: readonly AllowedRegistry[]
  allowedNetworks: readonly AllowedNetwork[]
}

export interface HostEntry {
  ports: Set<number>
}

export interface EgressRules {
  level: NetworkLevel
  /** By exact name or address. */
  exact: ReadonlyMap<string, HostEntry>
  /** By the domain behind `*.`. */
  below: ReadonlyMap<string, HostEntry>
  networks: readonly { host: string; below: boolean; network: Network }[]
}

export function compileRules(policy: NetworkPolicy, installation: InstallationEgress): EgressRules {
  const exact = new Map<string, HostEntry>()
  const below = new Map<string, HostEntry>()
  const add = (text: string, ports?: readonly number[]) => {
    const pattern = parsePattern(text)
    if (!pattern) return
    const map = pattern.below ? below : exact
    const entry = map.get(pattern.host) ?? { ports: new Set() }
    for (const port of pattern.port ? [pattern.port] : (ports ?? WEB_PORTS)) entry.ports.add(port)
    map.set(pattern.host, entry)
  }
  if (policy.level === 'custom') for (const domain of policy.domains) add(domain)
  if (policy.level === 'trusted' || (policy.level === 'custom' && policy.includeTrusted)) {
    for (const domain of TRUSTED_DOMAINS) add(domain)
    for (const { host, port } of installation.registries) add(host, [port])
  }
  return { level: policy.level, exact, below, networks: compileNetworks(installation) }
}

/** `example.org`, `*.example.org`, either with `:port`. Null for what is no pattern: it then matches nothing. */
export function parsePattern(
  text: string,
): { host: string; below: boolean; port: number | null } | null {
  const below = text.startsWith('*.')
  const plain = below ? text.slice(2) : text
  const authority = parseAuthority(plain) ?? { host: parseHost(plain), port: null }
  if (authority.host.kind === 'name')
    return { host: authority.host.name, below, port: authority.port }
  if (authority.host.kind === 'address' && !below) {
    return { host: authority.host.address, below, port: authority.port }
  }
  return null
}

/** The networks that the owner listed for this host. */
export function networksFor(rules: EgressRules, host: string): Network[] {
  return rules.networks
    .filter((entry) => (entry.below ? host.endsWith(`.${entry.host}`) : host === entry.host))
    .map(({ network }) => network)
}

function compileNetworks({ allowedNetworks }: InstallationEgress): EgressRules['networks'] {
  return allowedNetworks.flatMap((entry) => {
    const pattern = parsePattern(entry.host)
    const network = parseNetwork(entry.network)
    return pattern && network ? [{ host: pattern.host, below: pattern.below, network }] : []
  })
}
