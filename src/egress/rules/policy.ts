// What a session may reach, compiled for quick answers: the environment's network policy joined with what the owner set up
// for this installation. Pure; `decide.ts` asks it.
import { type NetworkLevel, type NetworkPolicy, rulesOf } from '../../protocol/environment.ts'
import { type Network, parseNetwork } from './addresses.ts'
import { type BoundCredential, portsOf } from './bound-credentials.ts'
import { authorityText, parsePattern } from './hosts.ts'
import { compileRequestRules, type RequestRules } from './request-rules.ts'
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

/** What of a credential the rules have to know: where it is for. */
export type BoundHosts = Pick<BoundCredential, 'hosts' | 'paths' | 'allowHttp'>

export interface EgressRules extends HostList {
  level: NetworkLevel
  /** At levels `trusted` and `custom`: what may be asked of some hosts. A host with such rules is reached by them alone. */
  requests: readonly RequestRules[]
  /** Hosts of credentials, which are reachable at every level, on the paths of these. */
  bound: HostList & { credentials: readonly BoundHosts[] }
  /** Of the installation: refused at every level. An entry without ports stands for all of them. */
  denied: HostList
  networks: readonly { host: string; below: boolean; network: Network }[]
}

export function compileRules(
  policy: NetworkPolicy,
  installation: InstallationEgress,
  credentials: readonly BoundHosts[] = [],
): EgressRules {
  const rules = rulesOf(policy)
  const { lists = { allow: [], deny: [] } } = installation
  const allowed = createHostList(WEB_PORTS)
  if (policy.level === 'custom') for (const domain of policy.domains) allowed.add(domain)
  for (const { host } of rules) allowed.add(host)
  if (policy.level === 'trusted' || (policy.level === 'custom' && policy.includeTrusted)) {
    for (const domain of TRUSTED_DOMAINS) allowed.add(domain)
    for (const { host, port } of installation.registries) allowed.add(host, [port])
  }
  for (const domain of lists.allow) allowed.add(domain)
  const denied = createHostList([])
  for (const domain of lists.deny) denied.add(domain)
  const { exact, below } = allowed.list
  const networks = compileNetworks(installation)
  return {
    ...{ level: policy.level, exact, below, denied: denied.list, networks },
    requests: compileRequestRules(rules),
    bound: { ...boundHosts(credentials), credentials },
  }
}

function boundHosts(credentials: readonly BoundHosts[]): HostList {
  const { list, add } = createHostList([])
  for (const credential of credentials) {
    for (const one of credential.hosts) {
      for (const port of portsOf(one, credential))
        add(`${one.below ? '*.' : ''}${authorityText(one.host, port)}`)
    }
  }
  return list
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
