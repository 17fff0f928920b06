// Which addresses a session may be connected to, after a name was resolved. Pure, on bytes.
// Documentation ranges (192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24, 2001:db8::/32, 3fff::/20) count as public: they are not
// routed by anyone's private network, and mirrors may live there. Not covered: a public address that belongs to this host
// only behind a translating router; the owner can add it to the host's own addresses.
import { isIPv4, isIPv6 } from 'node:net'

export type AddressClass =
  | 'public'
  | 'private'
  | 'link_local'
  | 'shared'
  | 'benchmark'
  | 'loopback'
  | 'unspecified'
  | 'multicast'
  | 'reserved'
  | 'metadata'
  | 'host'
  | 'invalid'

export interface Network {
  bytes: Uint8Array
  prefix: number
}

/** What the owner may lift by listing host and network. Metadata services and this host itself are never among them. */
const LIFTABLE: ReadonlySet<AddressClass> = new Set([
  'private',
  'link_local',
  'shared',
  'benchmark',
])

/** Instance metadata and platform services of clouds, which hand credentials to whoever asks from the machine. */
const METADATA = [
  '169.254.169.254/32',
  '169.254.169.253/32',
  '169.254.169.123/32',
  '169.254.170.2/32',
  '169.254.170.23/32',
  '169.254.42.42/32',
  '169.254.0.23/32',
  '100.100.100.200/32',
  '168.63.129.16/32',
  '192.0.0.192/32',
  'fd00:ec2::/32',
  'fd20:ce::254/128',
  'fe80::a9fe:a9fe/128',
]

/** First match wins. Sources: the IANA special-purpose address registries for IPv4 and IPv6. */
const RANGES: readonly [AddressClass, readonly string[]][] = [
  ['metadata', METADATA],
  ['unspecified', ['0.0.0.0/8', '::/128']],
  ['loopback', ['127.0.0.0/8', '::1/128']],
  ['private', ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7', 'fec0::/10']],
  ['link_local', ['169.254.0.0/16', 'fe80::/10']],
  ['shared', ['100.64.0.0/10']],
  ['benchmark', ['198.18.0.0/15', '2001:2::/48']],
  ['multicast', ['224.0.0.0/4', 'ff00::/8']],
  ['reserved', ['192.0.0.0/24', '192.88.99.0/24', '240.0.0.0/4']],
  // Teredo, ORCHID and 6to4 carry other addresses or none; translation prefixes are unwrapped before they get here.
  ['reserved', ['2001::/32', '2001:10::/28', '2001:20::/28', '2002::/16']],
  ['public', ['0.0.0.0/0', '2000::/3']],
]

const TABLE = RANGES.flatMap(([kind, texts]) =>
  texts.map((text) => ({ kind, network: networkOf(text) })),
)
const MAPPED = networkOf('::ffff:0:0/96')
const NAT64 = networkOf('64:ff9b::/96')

/** `own` are this host's addresses in any notation. */
export function classifyAddress(address: string, own: readonly string[]): AddressClass {
  const bytes = plainBytes(address)
  if (!bytes) return 'invalid'
  const kind = TABLE.find(({ network }) => contains(network, bytes))?.kind ?? 'reserved'
  if (kind === 'metadata') return kind
  return own.some((mine) => sameBytes(plainBytes(mine), bytes)) ? 'host' : kind
}

/** Whether to connect: public addresses, and those liftable ones that lie in a network listed for this very host. */
export function isAddressAllowed(
  address: string,
  own: readonly string[],
  networks: readonly Network[],
): boolean {
  const kind = classifyAddress(address, own)
  if (kind === 'public') return true
  const bytes = plainBytes(address)
  if (!bytes || !LIFTABLE.has(kind)) return false
  return networks.some((network) => contains(network, bytes))
}

/** CIDR notation; a single address is a network of one. Null when it is neither. */
export function parseNetwork(text: string): Network | null {
  const match = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text.trim())
  const bytes = match?.[1] === undefined ? null : parseAddress(match[1])
  if (!bytes) return null
  const prefix = match?.[2] === undefined ? bytes.length * 8 : Number(match[2])
  return prefix <= bytes.length * 8 ? { bytes, prefix } : null
}

/** 4 or 16 bytes; null for everything that is not an address in standard notation. */
export function parseAddress(text: string): Uint8Array | null {
  if (isIPv4(text)) return Uint8Array.from(text.split('.').map(Number))
  if (!isIPv6(text) || text.includes('%')) return null
  const [head = '', tail] = text.split('::')
  const front = groupsOf(head)
  const back = tail === undefined ? [] : groupsOf(tail)
  const zeros = new Array<number>(8 - front.length - back.length).fill(0)
  return Uint8Array.from(
    [...front, ...zeros, ...back].flatMap((group) => [group >> 8, group & 255]),
  )
}

function groupsOf(text: string): number[] {
  if (text === '') return []
  return text.split(':').flatMap((group) => {
    if (!group.includes('.')) return [Number.parseInt(group, 16)]
    const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number)
    return [(a << 8) | b, (c << 8) | d]
  })
}

/** The bytes of the address that packets would really go to: IPv4 out of ::ffff:0:0/96 (mapped) and 64:ff9b::/96 (NAT64). */
function plainBytes(address: string): Uint8Array | null {
  const bytes = parseAddress(address)
  if (bytes && (contains(MAPPED, bytes) || contains(NAT64, bytes))) return bytes.subarray(12)
  return bytes
}

function contains({ bytes, prefix }: Network, address: Uint8Array): boolean {
  if (bytes.length !== address.length) return false
  return bytes.every((byte, index) => {
    const bits = Math.min(8, Math.max(0, prefix - index * 8))
    const mask = (0xff << (8 - bits)) & 0xff
    return (byte & mask) === ((address[index] ?? 0) & mask)
  })
}

function sameBytes(one: Uint8Array | null, other: Uint8Array): boolean {
  return one !== null && Buffer.compare(one, other) === 0
}

function networkOf(text: string): Network {
  const network = parseNetwork(text)
  if (!network) throw new Error(`not a network: ${text}`)
  return network
}
