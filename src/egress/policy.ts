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
  /** `deny` wins over whatever allows the same host; `allow` holds at every level but `none`. */
  lists?: { allow: readonly string[]; deny: readonly string[] }
}

export interface HostEntry {
  ports: Set<number>
}

export interface HostList {
  /** By exact name or address. */
  exact: ReadonlyMap<string, HostEntry>
  /** By the domain behind `*.`. */
  below: ReadonlyMap<string, HostEntry>
}

export interface EgressRules extends HostList {
  level: NetworkLevel
  /** Of the installation: refused at every level. An entry without ports stands for all of them. */
  denied: HostList
  networks: readonly { host: string; below: boolean; network: Network }[]
}

export function compileRules(policy: NetworkPolicy, installation: InstallationEgress): EgressRules {
  const { lists = { allow: [], deny: [] } } = installation
  const allowed = createHostList(WEB_PORTS)
  if (policy.level === 'custom') for (const domain of policy.domains) allowed.add(domain)
  if (policy.level === 'trusted' || (policy.level === 'custom' && policy.includeTrusted)) {
    for (const domain of TRUSTED_DOMAINS) allowed.add(domain)
    for (const { host, port } of installation.registries) allowed.add(host, [port])
  }
  for (const domain of lists.allow) allowed.add(domain)
  const denied = createHostList([])
  for (const domain of lists.deny) denied.add(domain)
  const { exact, below } = allowed.list
  const networks = compileNetworks(installation)
  return { level: policy.level, exact, below, denied: denied.list, networks }
}

/** `usualPorts` are those of an entry that names none. */
function createHostList(usualPorts: readonly number[]) {
  const exact = new Map<string, HostEntry>()
  const below = new Map<string, HostEntry>()
  const add = (text: string, ports = usualPorts) => {
    const pattern = parsePattern(text)
    if (!pattern) return
    const map = pattern.below ? below : exact
    const wanted = pattern.port ? [pattern.port] : ports
    const entry = map.get(pattern.host)
    // All ports already, which one more would narrow.
    if (entry?.ports.size === 0) return
    const all = wanted.length === 0 ? [] : [...(entry?.ports ?? []), ...wanted]
    map.set(pattern.host, { ports: new Set(all) })
  }
  return { add, list: { exact, below } }
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
