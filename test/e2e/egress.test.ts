// What a sandbox reaches: hosts by the level of its environment and nothing else, with proxy variables and without. Real curl
// under runc; every host is a stand-in on the island, so a control that fails shows up there and nowhere else.
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createSampleRepository } from '../../demo/repository.ts'
import type { NetworkPolicy } from '../../src/protocol/environment.ts'
import type { NetworkEntry } from '../../src/protocol/network-log.ts'
import { eventsOf, type Installation, startInstallation } from './installation.ts'
import { createIsland, type Island } from './island.ts'
import { runInside, toolOutputs } from './transcript.ts'

let island: Island
let errand: Installation
let folder: string
let repository: string
let neighbour: Server
let port: number

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-egress-'))
  repository = join(folder, 'cart')
  await createSampleRepository(repository)
  island = await createIsland({
    hosts: {
      'denied.example': '203.0.113.7',
      'allowed.errand.test': '203.0.113.8',
      'sub.wild.errand.test': '203.0.113.9',
      'neighbour.errand.test': 'outside',
      'listed.errand.test': 'outside',
      'metadata.errand.test': '169.254.169.254',
    },
  })
  neighbour = createServer((request, response) => {
    if (request.url !== '/hold') return response.end('neighbour\n')
    response.write('held\n')
    neighbour.emit('held', response)
  })
  neighbour.listen(0, island.outside)
  await once(neighbour, 'listening')
  port = (neighbour.address() as AddressInfo).port
  const networks = [
    `listed.errand.test=${island.network}`,
    'metadata.errand.test=169.254.0.0/16',
  ].join(',')
  errand = await startInstallation({ island, env: { ERRAND_ALLOWED_NETWORKS: networks } })
})
beforeEach(() => {
  island.strays.splice(0)
})
afterAll(async () => {
  await errand?.stop()
  neighbour?.close()
  await island?.remove()
  await rm(folder, { recursive: true, force: true })
})

const DIRECT =
  'env -u http_proxy -u https_proxy -u HTTP_PROXY -u HTTPS_PROXY -u no_proxy -u NO_PROXY'
const curl = (url: string, before = '') =>
  `echo "== ${url}"; ${before} curl --silent --show-error --include --max-time 10 ${url} 2>&1; echo "exit $?"`

async function sandbox(level: NetworkPolicy['level'], domains: string[] = []): Promise<string> {
  const network = { level, domains, includeTrusted: false }
  const { id } = await errand.start(repository, 'echo ready', { kind: 'command', network })
  await errand.finish(id)
  return id
}

/** What each part of an output that begins with `== name` says. */
function parts(output: string): Record<string, string> {
  const found = output.split(/^== /m).slice(1)
  return Object.fromEntries(
    found.map((part) => [part.slice(0, part.indexOf('\n')), part.slice(part.indexOf('\n')).trim()]),
  )
}

/** Denials are stored beside the session's own work. */
async function denials(id: string, host: string, port: number): Promise<string> {
  const events = await errand.follow(
    id,
    ({ body }) => body.type === 'egress.denied' && body.host === host && body.port === port,
  )
  return eventsOf(events, 'egress.denied').at(-1)?.reason ?? ''
}

const DENIED = /^HTTP\/1\.1 403 [\s\S]*x-deny-reason: host_not_allowed/im

describe('a denied host', () => {
  it('answers the agent with 403 and a reason, and is told', async () => {
    const { id } = await errand.start(repository, 'fetch the denied')
    const said = parts(toolOutputs(await errand.finish(id))[0] ?? '')
    expect(said['http://denied.example/']).toMatch(DENIED)
    expect(said['http://denied.example/']).toMatch(/exit 0$/)
    expect(said['https://denied.example/']).toMatch(DENIED)
    expect(said['https://denied.example/']).toMatch(/exit 56$/)
    const address = /^HTTP\/1\.1 403 [\s\S]*x-deny-reason: address_not_allowed/im
    expect(said['http://169.254.169.254/']).toMatch(address)
    expect(said['https://192.0.2.1/']).toMatch(address)
    expect(await denials(id, 'denied.example', 443)).toBe('host_not_allowed')
    expect(await denials(id, 'denied.example', 80)).toBe('host_not_allowed')
    expect(await denials(id, '169.254.169.254', 80)).toBe('address_not_allowed')
    expect(await denials(id, '192.0.2.1', 443)).toBe('address_not_allowed')
    expect(island.strays).toEqual([])
  })

  it('is denied in the same way without proxy variables', async () => {
    const id = await sandbox('trusted')
    const urls = [
      'http://denied.example/',
      'https://denied.example/',
      'http://denied.example:8080/',
    ]
    const said = parts(await runInside(errand, id, urls.map((url) => curl(url, DIRECT)).join('\n')))
    expect(said['http://denied.example/']).toMatch(DENIED)
    expect(said['https://denied.example/']).toMatch(/exit (7|35|52|56)$/)
    expect(said['http://denied.example:8080/']).not.toMatch(/200 OK/)
    expect(await denials(id, 'denied.example', 443)).toBe('host_not_allowed')
    expect(island.strays).toEqual([])
  })
})

describe('addresses', () => {
  it('go nowhere: raw ones, the metadata service, UDP, DNS of somebody else', async () => {
    const id = await sandbox('full')
    const python = (code: string) => `python3 -c '${code}' 2>&1 | tail -1`
    const connect = (family: string, address: string, port: number) =>
      python(
        `import socket as s; c=s.socket(s.${family}, s.SOCK_STREAM); c.settimeout(5); print("connected", c.connect(("${address}", ${port})))`,
      )
    const query = `b"\\\\x12\\\\x34\\\\x01\\\\0\\\\0\\\\1\\\\0\\\\0\\\\0\\\\0\\\\0\\\\0\\\\7example\\\\3org\\\\0\\\\0\\\\1\\\\0\\\\1"`
    const ask = (address: string) =>
      python(
        `import socket as s; c=s.socket(s.AF_INET, s.SOCK_DGRAM); c.settimeout(2); c.sendto(${query}, ("${address}", 53)); print("answered", c.recv(512))`,
      )
    const said = await runInside(
      errand,
      id,
      [
        connect('AF_INET', '192.0.2.1', 80),
        connect('AF_INET', '169.254.169.254', 80),
        connect('AF_INET', island.outside, port),
        connect('AF_INET', island.inside, 80),
        connect('AF_INET6', '2001:db8::1', 443),
        ask('192.0.2.53'),
        ask(island.outside),
        curl('http://192.0.2.1/'),
        curl('http://169.254.169.254/'),
        curl(`http://${island.outside}:${port}/`),
        'ip route show table main 2>/dev/null; cat /proc/net/route',
      ].join('\n'),
    )
    expect(said).not.toMatch(/connected|answered|200 OK|neighbour/)
    expect(said.match(/Network is unreachable/g)).toHaveLength(7)
    expect(said.match(/x-deny-reason: address_not_allowed/gi)).toHaveLength(3)
    expect(said).toMatch(/Iface[^\n]*\n*$/)
    expect(island.strays).toEqual([])
  })

  it('of a private network are refused behind a name as well, unless the owner listed both', async () => {
    const id = await sandbox('full')
    const urls = [
      `http://neighbour.errand.test:${port}/`,
      `http://listed.errand.test:${port}/`,
      'http://metadata.errand.test/',
      'http://denied.example/',
    ]
    const said = parts(await runInside(errand, id, urls.map((url) => curl(url)).join('\n')))
    const refused = /403 [\s\S]*x-deny-reason: address_not_allowed/im
    expect(said[urls[0] ?? '']).toMatch(refused)
    expect(said[urls[1] ?? '']).toMatch(/200 OK[\s\S]*neighbour/)
    expect(said[urls[2] ?? '']).toMatch(refused)
    expect(said[urls[3] ?? '']).toMatch(/200 OK[\s\S]*stand-in/)
    expect(await denials(id, 'neighbour.errand.test', port)).toBe('address_not_allowed')
    expect(island.strays).toEqual(['GET / HTTP/1.1 denied.example'])
  })
})

describe('levels', () => {
  it('none refuses every host', async () => {
    const id = await sandbox('none')
    const urls = ['http://allowed.errand.test/', 'http://nodejs.org/']
    const said = parts(await runInside(errand, id, urls.map((url) => curl(url)).join('\n')))
    for (const url of urls) expect(said[url]).toMatch(/403 [\s\S]*x-deny-reason: level_none/i)
    expect(await denials(id, 'allowed.errand.test', 80)).toBe('level_none')
    expect(island.strays).toEqual([])
  })

  it('custom allows the hosts of its list alone, with proxy variables and without', async () => {
    const id = await sandbox('custom', ['allowed.errand.test', '*.wild.errand.test'])
    const allowed = ['http://allowed.errand.test/', 'http://sub.wild.errand.test/']
    const denied = ['http://denied.example/', 'http://listed.errand.test/']
    for (const before of ['', DIRECT]) {
      const commands = [...allowed, ...denied].map((url) => curl(url, before))
      const said = parts(await runInside(errand, id, commands.join('\n')))
      for (const url of allowed) expect(said[url]).toMatch(/200 OK[\s\S]*stand-in/)
      for (const url of denied) expect(said[url]).toMatch(DENIED)
    }
    const hosts = ['allowed.errand.test', 'sub.wild.errand.test']
    const seen = hosts.map((host) => `GET / HTTP/1.1 ${host}`)
    expect(island.strays).toEqual([...seen, ...seen])
  })
})

describe('a change of what may be reached', () => {
  const WITHIN_MS = 2_000
  const nothing = { level: 'none' as const, domains: [], includeTrusted: false }

  /** Resolves with how long after `act` a download that runs inside was cut off. */
  async function cutBy(id: string, host: string, act: () => Promise<unknown>): Promise<number> {
    const held = once(neighbour, 'held')
    const said = runInside(errand, id, curl(`http://${host}/hold`))
    const [response] = (await held) as [ServerResponse]
    const closed = once(response, 'close')
    const startedMs = performance.now()
    await act()
    await closed
    const tookMs = performance.now() - startedMs
    expect(await said).toMatch(/held[\s\S]*exit 18$/m)
    return tookMs
  }

  /** Each of the changes stands in the network log, live, in the words of the gateway. */
  async function expectLogged(id: string) {
    const entries: NetworkEntry[] = []
    const signal = AbortSignal.timeout(30_000)
    for await (const item of errand.client.followNetwork(id, { signal })) {
      if (item.kind === 'entry') entries.push(item.entry)
      if (entries.at(-1)?.reason === 'denied_by_installation') break
    }
    const cut = entries.filter(({ reason }) => reason === 'policy_changed')
    const seen = { host: 'listed.errand.test', port, allowed: true, method: 'GET' }
    expect(cut).toMatchObject([seen, seen])
    for (const { bytesDown, durationMs } of cut) {
      expect(bytesDown).toBeGreaterThan(0)
      expect(durationMs).toBeGreaterThan(0)
    }
    expect(entries).toContainEqual(expect.objectContaining({ reason: 'level_none' }))
    const { usage } = await errand.client.readNetwork(id)
    expect(usage.bytesDown).toBeGreaterThan(0)
  }

  it('holds within two seconds in a session that runs, and cuts what is open', async () => {
    const host = `listed.errand.test:${port}`
    const network = { level: 'custom' as const, domains: [host], includeTrusted: false }
    const id = await sandbox('custom', [host])
    const took = {
      session: await cutBy(id, host, () => errand.client.patchSession(id, { network: nothing })),
      allowed: 0,
      denied: 0,
    }
    const asked = once(neighbour, 'request')
    const said = runInside(
      errand,
      id,
      `curl -s -o /dev/null -w '%{http_code}\\n' http://${host}/; echo waiting; until curl -sf http://${host}/; do sleep 0.05; done`,
    )
    await denials(id, 'listed.errand.test', port)
    const startedMs = performance.now()
    await errand.client.allow(id, 'session', host)
    await asked
    took.allowed = performance.now() - startedMs
    expect(await said).toMatch(/403\nwaiting\nneighbour/)
    expect((await errand.client.getSession(id)).environment.network).toEqual(network)
    const deny = (...hosts: string[]) => errand.client.patchInstallationNetwork({ deny: hosts })
    took.denied = await cutBy(id, host, () => deny('listed.errand.test'))
    const refused = parts(await runInside(errand, id, curl(`http://${host}/`)))
    expect(refused[`http://${host}/`]).toMatch(/403 [\s\S]*x-deny-reason: denied_by_installation/i)
    await deny()
    await expectLogged(id)
    for (const ms of Object.values(took)) expect(ms).toBeLessThan(WITHIN_MS)
    expect(await runInside(errand, id, curl(`http://${host}/`))).toMatch(/200 OK[\s\S]*neighbour/)
  })
})
