import { expect, it } from 'vitest'
import { type NetworkEntry, totalByHost } from './network-log.ts'

const entry = (n: number, fields: Partial<NetworkEntry>): NetworkEntry => ({
  ...{ id: `c${n}`, n, at: `2026-01-01T00:00:0${n}.000Z`, host: 'a.example', port: 443 },
  ...{ method: 'CONNECT', allowed: false, reason: 'level_none', bytesUp: 1, bytesDown: 2 },
  ...{ durationMs: 5, count: 1 },
  ...fields,
})

it('has a host once for what was refused and once for what was let through', () => {
  const totals = totalByHost([
    entry(3, { reason: 'host_not_allowed', port: 80 }),
    entry(1, {}),
    entry(2, { reason: 'host_not_allowed', count: 4 }),
    entry(4, { allowed: true, reason: null, durationMs: null }),
    entry(5, { allowed: true, reason: 'idle' }),
    entry(6, { port: 8443, reason: 'port_not_allowed' }),
  ])
  expect(totals).toMatchObject([
    { host: 'a.example', port: 8443, allowed: false, reason: 'port_not_allowed', count: 1 },
    { host: 'a.example', port: 443, allowed: true, reason: null, count: 2, open: 1 },
    { host: 'a.example', port: 80, allowed: false, reason: 'host_not_allowed', count: 6 },
  ])
})
