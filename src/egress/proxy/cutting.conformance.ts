// Policies that change while connections are open, and limits on what a session may move: on real sockets.
import { createServer, type RequestListener } from 'node:http'
import { createServer as createTcpServer, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import {
  closeServer,
  createProxyFixture,
  exchangeBytes,
  type FixtureOptions,
  listenOnLoopback,
  openTunnel,
} from './proxy.fixture.ts'

const STAND_IN = '198.51.100.7'
const ending: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const end of ending.splice(0)) await end()
})

/** Hosts on port 443 echo what they hear; those on port 80 answer by `listener`. */
async function setUp(
  options: Partial<FixtureOptions> = {},
  listener: RequestListener = (_, response) => response.end('hello'),
) {
  const sockets = new Set<Socket>()
  const echo = createTcpServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.pipe(socket)
  })
  const web = createServer(listener)
  const fixture = await createProxyFixture({ lookup: async () => [STAND_IN], ...options })
  fixture.route(`${STAND_IN}:443`, await listenOnLoopback(echo))
  fixture.route(`${STAND_IN}:80`, await listenOnLoopback(web))
  ending.push(fixture.close, async () => {
    for (const socket of sockets) socket.destroy()
    echo.close()
    await closeServer(web)
  })
  return fixture
}

const domains = (...names: string[]) => ({ domains: names })
const get = (url: string) => `GET ${url} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`

/** A tunnel through which something has been heard. */
async function talk(
  port: number,
  host: string,
): Promise<{ socket: Socket; closed: Promise<void> }> {
  const { socket, head } = await openTunnel(port, `${host}:443`)
  expect(head).toMatch(/^HTTP\/1\.1 200 /)
  socket.on('error', () => undefined)
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  socket.once('end', () => socket.end())
  await say(socket, 'ping')
  return { socket, closed }
}

/** Says something and waits until it comes back. */
function say(socket: Socket, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('close', () => reject(new Error('the tunnel is closed')))
    socket.once('data', () => resolve())
    socket.resume()
    socket.write(text)
  })
}

describe('a policy that changes', () => {
  it('ends tunnels to hosts that it names no more, and leaves the others alone', async () => {
    const fixture = await setUp({ policy: domains('a.example', 'b.example') })
    const [a, b] = await Promise.all([
      talk(fixture.port, 'a.example'),
      talk(fixture.port, 'b.example'),
    ])
    fixture.setPolicy(domains('b.example'))
    const decided = fixture.nextDecision()
    expect(fixture.recheck()).toBe(1)
    await a.closed
    expect(await decided).toMatchObject({
      ...{ host: 'a.example', allowed: true, reason: 'policy_changed', bytesUp: 4, bytesDown: 4 },
    })
    await say(b.socket, 'still here')
    expect(fixture.proxy.connections('s_aaaaaaaaaaaaaaaaaaaa')).toBe(1)
    b.socket.destroy()
  })

  it('ends what the installation denies, at full as well, also by address', async () => {
    const fixture = await setUp({ policy: { level: 'full' } })
    const [a, b] = await Promise.all([
      talk(fixture.port, 'a.example'),
      talk(fixture.port, 'b.example'),
    ])
    fixture.setLists({ allow: [], deny: ['*.example.org', 'a.example'] })
    expect(fixture.recheck()).toBe(1)
    await a.closed
    const refused = await exchangeBytes(fixture.port, get('http://a.example/'))
    expect(refused).toMatch(/^HTTP\/1\.1 403 [\s\S]*x-deny-reason: denied_by_installation/i)
    // Its connection ends at loopback, which is what the fixture's upstream looks like from here.
    fixture.setLists({ allow: [], deny: ['127.0.0.1', STAND_IN] })
    expect(fixture.recheck()).toBe(1)
    await b.closed
    const byAddress = await exchangeBytes(fixture.port, get('http://c.example/'))
    expect(byAddress).toMatch(/x-deny-reason: address_not_allowed/i)
  })

  it('ends tunnels whose greeting was not judged when a list takes the place of full', async () => {
    const fixture = await setUp({ policy: { level: 'full' } })
    const { closed } = await talk(fixture.port, 'a.example')
    fixture.setPolicy(domains('a.example'))
    expect(fixture.recheck()).toBe(1)
    await closed
  })

  it('breaks off a download, and a request that has no answer yet', async () => {
    const started = Promise.withResolvers<void>()
    const fixture = await setUp({}, (request, response) => {
      if (request.url === '/silent') return started.resolve()
      response.write('the beginning')
    })
    const silent = exchangeBytes(fixture.port, get('http://a.example/silent'))
    await started.promise
    fixture.setPolicy(domains('b.example'))
    expect(fixture.recheck()).toBe(1)
    expect(await silent).toMatch(/^HTTP\/1\.1 502 [\s\S]*upstream_broken/)
    expect(fixture.decisions.at(-1)).toMatchObject({ allowed: true, reason: 'policy_changed' })
  })

  it('refuses what was being looked up when it changed', async () => {
    const asked = Promise.withResolvers<void>()
    const found = Promise.withResolvers<string[]>()
    const fixture = await setUp({
      lookup: () => {
        asked.resolve()
        return found.promise
      },
    })
    const answer = exchangeBytes(fixture.port, get('http://a.example/'))
    await asked.promise
    fixture.setPolicy(domains('b.example'))
    expect(fixture.recheck()).toBe(0)
    found.resolve([STAND_IN])
    expect(await answer).toMatch(/^HTTP\/1\.1 403 [\s\S]*x-deny-reason: policy_changed/i)
  })

  it('lets a host through that the installation allows, but never at none', async () => {
    const fixture = await setUp({ policy: domains() })
    expect(await exchangeBytes(fixture.port, get('http://a.example/'))).toMatch(/host_not_allowed/)
    fixture.setLists({ allow: ['a.example'], deny: [] })
    expect(await exchangeBytes(fixture.port, get('http://a.example/'))).toMatch(/ 200 OK/)
    fixture.setPolicy({ level: 'none' })
    expect(await exchangeBytes(fixture.port, get('http://a.example/'))).toMatch(/level_none/)
  })
})

describe('limits', () => {
  it('answer 429 with the seconds to wait when connections come too fast', async () => {
    const fixture = await setUp({ traffic: { connectionsPerSecond: 1, bytesPerDay: 1e9 } })
    for (let n = 0; n < 4; n++)
      expect(await exchangeBytes(fixture.port, get('http://a.example/'))).toMatch(/ 200 OK/)
    const refused = await exchangeBytes(fixture.port, get('http://a.example/'))
    expect(refused).toMatch(/^HTTP\/1\.1 429 [\s\S]*x-deny-reason: rate_limited/i)
    expect(refused).toMatch(/retry-after: 1\r\n/i)
  })

  it('break off a stream when the bytes of the day are used up, and refuse the next', async () => {
    const fixture = await setUp({ traffic: { connectionsPerSecond: 100, bytesPerDay: 1 << 20 } })
    const { socket, closed } = await talk(fixture.port, 'a.example')
    const decided = fixture.nextDecision()
    const piece = Buffer.alloc(1 << 16)
    const write = () => {
      while (!socket.destroyed && socket.write(piece));
    }
    socket.on('drain', write)
    socket.resume()
    write()
    await closed
    expect(await decided).toMatchObject({ allowed: true, reason: 'bytes_exhausted' })
    expect(fixture.opened.length).toBeGreaterThan(0)
    const refused = await exchangeBytes(fixture.port, get('http://a.example/'))
    expect(refused).toMatch(/^HTTP\/1\.1 429 [\s\S]*x-deny-reason: bytes_exhausted/i)
    expect(Number(/retry-after: (\d+)/i.exec(refused)?.[1])).toBeLessThanOrEqual(86_400)
  })
})
