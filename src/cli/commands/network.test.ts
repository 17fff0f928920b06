import { expect, it } from 'vitest'
import type { Client } from '../../client/client.ts'
import type { SessionAnswer } from '../../protocol/api.ts'
import { createTestCli } from '../cli.fixture.ts'
import { describeEntry } from './network-log.ts'

const ID = `s_${'a'.repeat(20)}`

function createCli() {
  const sent: unknown[][] = []
  let network = { level: 'trusted', domains: ['old.example'], includeTrusted: false }
  const session = () => ({ id: ID, environment: { network } }) as unknown as SessionAnswer
  const lists = {
    ...{ allow: ['a.example'], deny: ['b.example'] },
    limits: { connectionsPerSecond: null, bytesPerDay: null },
  }
  const client: Partial<Client> = {
    getSession: async () => session(),
    patchSession: async (id, patch) => {
      sent.push([id, patch])
      network = { ...network, ...patch.network }
      return session()
    },
    allow: async (...args) => {
      sent.push(args)
      return session()
    },
    getInstallationNetwork: async () => lists,
    patchInstallationNetwork: async (patch) => {
      sent.push([patch])
      return { ...lists, ...patch, limits: { ...lists.limits, ...patch.limits } }
    },
    getTrustedHosts: async (environment) => ({
      environment: environment ?? 'Default',
      groups: [{ group: 'Code', reason: 'Builds read it.', domains: ['code.example'] }],
      registries: [
        { tool: 'npm', url: 'https://r.example/', host: 'r.example', port: 443, from: '~/.npmrc' },
      ],
    }),
  }
  return { ...createTestCli({ client }), sent }
}

it('sets what a session may reach', async () => {
  const cli = createCli()
  expect(await cli.run('network', 'set', ID, '--allow', 'x.example', '--include-trusted')).toBe(0)
  expect(cli.sent).toEqual([
    [ID, { network: { level: 'custom', domains: ['x.example'], includeTrusted: true } }],
  ])
  expect(cli.stdout.text()).toContain('may reach x.example, the trusted hosts')
  expect(await cli.run('network', 'set', ID)).toBe(2)
})

it('sets rules, which leave trusted as it is', async () => {
  const cli = createCli()
  const rules = [{ host: 'api.example', methods: ['GET'], paths: ['/v1/*'] }]
  expect(await cli.run('network', 'set', ID, '--rule', 'api.example GET /v1/*')).toBe(0)
  expect(cli.sent).toEqual([
    [ID, { network: { level: 'trusted', domains: ['old.example'], rules, includeTrusted: false } }],
  ])
  expect(cli.stdout.text()).toContain('may reach api.example GET /v1/*, the trusted hosts')
  expect(await cli.run('network', 'set', ID, '--network', 'full', '--rule', 'a.example GET')).toBe(
    2,
  )
  expect(cli.stderr.text()).toContain('rules hold at trusted and custom only')
  expect(await cli.run('network', 'set', ID, '--no-rules')).toBe(0)
  expect(cli.sent.at(-1)).toEqual([
    ID,
    { network: { level: 'trusted', domains: ['old.example'], rules: [], includeTrusted: false } },
  ])
  expect(cli.stdout.text()).toMatch(/may reach the trusted hosts\n$/)
})

it('allows a host for a session or its environment', async () => {
  const cli = createCli()
  await cli.run('allow', ID, 'x.example')
  await cli.run('allow', ID, 'x.example:8443', '--environment')
  await cli.run('allow', ID)
  expect(cli.sent).toEqual([
    [ID, 'session', 'x.example'],
    [ID, 'environment', 'x.example:8443'],
    [ID, 'session', undefined],
  ])
})

it("shows and changes the installation's lists and limits", async () => {
  const cli = createCli()
  await cli.run('network', 'lists')
  expect(cli.stdout.text()).toMatch(/refused +b\.example\nallowed +a\.example/)
  const options = ['--deny', 'c.example', '--remove', 'a.example', '--bytes-per-day', '2GiB']
  await cli.run('network', 'lists', ...options, '--connections-per-second', 'off')
  expect(cli.sent).toEqual([
    [
      {
        ...{ allow: [], deny: ['b.example', 'c.example'] },
        limits: { bytesPerDay: 2 * 1024 ** 3, connectionsPerSecond: null },
      },
    ],
  ])
  expect(cli.stdout.text()).toContain('2 GiB a day at most')
  expect(await cli.run('network', 'lists', '--bytes-per-day', 'lots')).toBe(2)
})

it('says what trusted stands for, why, and which registries were found', async () => {
  const cli = createCli()
  await cli.run('network', 'trusted', '--environment', 'big')
  expect(cli.stdout.text()).toMatch(/Code\n {2}Builds read it\.\n {2}code\.example/)
  expect(cli.stdout.text()).toMatch(/image of big[\s\S]*npm +r\.example:443 +~\/\.npmrc/)
})

it('prints what the gateway has seen, by --network', () => {
  const entry = {
    ...{ id: 'a', n: 1, at: '2026-01-02T12:03:04.000Z', host: 'a.example', port: 443 },
    ...{ method: 'CONNECT', bytesUp: 2048, bytesDown: 5 * 1024 ** 2, count: 1 },
  }
  const lines = [
    describeEntry({ ...entry, allowed: true, reason: null, durationMs: 1_500 }),
    describeEntry({ ...entry, allowed: true, reason: null, durationMs: null }),
    describeEntry({
      ...entry,
      allowed: false,
      reason: 'host_not_allowed',
      durationMs: 0,
      count: 3,
    }),
  ]
  expect(lines).toEqual([
    '12:03:04 ✓ CONNECT a.example:443  ↑ 2 KiB ↓ 5 MiB  1.5 s',
    '12:03:04 ● CONNECT a.example:443  ↑ 2 KiB ↓ 5 MiB  open',
    '12:03:04 ⛔ CONNECT a.example:443  host_not_allowed  3 times',
  ])
})
