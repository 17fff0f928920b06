// What the fixture's gateway has seen of any session's traffic.
import type { NetworkEntry, SessionNetwork } from '../../src/protocol/network-log.ts'
import type { SessionState } from '../../src/protocol/session.ts'

const GIB = 1024 ** 3
const entry = (n: number, fields: Partial<NetworkEntry>): NetworkEntry => ({
  ...{ id: `c${n}`, n, at: new Date(Date.now() - 60_000 * (20 - n)).toISOString(), port: 443 },
  ...{ host: 'registry.example.com', method: 'CONNECT', allowed: true, reason: null },
  ...{ bytesUp: 1_400, bytesDown: 2_300_000, durationMs: 480, count: 1 },
  ...fields,
})
const REFUSED = { allowed: false, bytesUp: 0, bytesDown: 0, durationMs: 2 }

export const NETWORK_ENTRIES: readonly NetworkEntry[] = [
  entry(1, {}),
  entry(2, { bytesDown: 41_000_000 }),
  entry(3, {
    ...{ ...REFUSED, host: 'telemetry.example.com', reason: 'host_not_allowed', count: 14 },
  }),
  entry(4, { ...REFUSED, host: 'api.example.com', port: 8443, reason: 'host_not_allowed' }),
  entry(5, { ...REFUSED, host: '169.254.169.254', port: 80, reason: 'address_not_allowed' }),
  entry(6, { ...REFUSED, host: 'paste.evil.example', reason: 'denied_by_installation' }),
  entry(7, {
    ...{ host: 'a-host-with-a-name-that-is-far-too-long-for-one-line.downloads.example.org' },
    ...{ durationMs: null, bytesDown: 1_240_000_000 },
  }),
]

export function networkOf({ environment: { network } }: SessionState): SessionNetwork {
  return {
    ...{ network, entries: [], through: 0, more: false },
    installation: {
      ...{ allow: ['proxy.example.com'], deny: ['*.evil.example'] },
      limits: { connectionsPerSecond: null, bytesPerDay: null },
    },
    limits: { connectionsPerSecond: 100, bytesPerDay: 100 * GIB },
    usage: { day: '2026-01-02', bytesUp: 4_200, bytesDown: 1_283_300_000 },
    registries: [
      {
        ...{ tool: 'npm', url: 'https://registry.example.com/', host: 'registry.example.com' },
        ...{ port: 443, from: '/etc/npmrc' },
      },
    ],
  }
}
