// The proxy on real sockets: absolute-form requests, their streams, and everything that must not get through.
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type RequestListener,
} from 'node:http'
import { connect as connectTcp, createServer as createTcpServer } from 'node:net'
import { afterEach, expect, it } from 'vitest'
import {
  closeServer,
  createProxyFixture,
  exchangeBytes,
  type FixtureOptions,
  listenOnLoopback,
} from './proxy.fixture.ts'

const STAND_IN = '198.51.100.7'
const ending: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const end of ending.splice(0)) await end()
})

async function setUp(listener: RequestListener, options: Partial<FixtureOptions> = {}) {
  const upstream = createServer(listener)
  const upstreamPort = await listenOnLoopback(upstream)
  const fixture = await createProxyFixture({ lookup: async () => [STAND_IN], ...options })
  fixture.route(`${STAND_IN}:80`, upstreamPort)
  ending.push(fixture.close, () => closeServer(upstream))
  return fixture
}

const get = (url: string, headers = '') =>
  `GET ${url} HTTP/1.1\r\nHost: x.example\r\n${headers}Connection: close\r\n\r\n`

it('passes a request on with the Host that was decided on', async () => {
  const fixture = await setUp((request, response) => {
    response.setHeader('x-seen', `${request.headers.host} ${request.url} ${request.headers.secret}`)
    response.end('hello')
  })
  const decided = fixture.nextDecision()
  const answer = await exchangeBytes(
    fixture.port,
    get('http://A.example/p?q=1', 'Proxy-Authorization: s\r\nSecret: kept\r\n'),
  )
  expect(answer).toMatch(/^HTTP\/1\.1 200 OK/)
  expect(answer).toContain('x-seen: a.example /p?q=1 kept')
  expect(answer).toContain('hello')
  expect(await decided).toMatchObject({
    host: 'a.example',
    port: 80,
    method: 'GET',
    allowed: true,
    reason: null,
  })
  expect(fixture.decisions[0]?.bytesUp).toBeGreaterThan(50)
  expect(fixture.decisions[0]?.bytesDown).toBeGreaterThan(50)
})

it('keeps a client connection for the next request, to another host as well', async () => {
  const fixture = await setUp((request, response) => response.end(`for ${request.headers.host}`), {
    policy: { domains: ['a.example', 'b.example'] },
  })
  const text = `GET http://a.example/ HTTP/1.1\r\nHost: a\r\n\r\n${get('http://b.example/')}`
  const answer = await exchangeBytes(fixture.port, text)
  expect(answer).toContain('for a.example')
  expect(answer).toContain('for b.example')
})

it('refuses with 403, a reason and a sentence, and looks nothing up', async () => {
  const fixture = await setUp((_, response) => response.end())
  const answer = await exchangeBytes(fixture.port, get('http://evil.example/'))
  expect(answer).toMatch(/^HTTP\/1\.1 403 /)
  expect(answer.toLowerCase()).toContain('x-deny-reason: host_not_allowed')
  expect(answer).toContain('Add it to the allowed domains')
  expect(fixture.trace).toEqual([])
  expect(fixture.decisions).toMatchObject([
    { host: 'evil.example', port: 80, allowed: false, reason: 'host_not_allowed' },
  ])
})

it.each([
  ['http://198.51.100.7/', 'address_not_allowed'],
  ['http://3325256711/', 'address_not_allowed'],
  ['http://0xc6336407/', 'address_not_allowed'],
  ['http://[::ffff:198.51.100.7]/', 'address_not_allowed'],
  ['http://127.0.0.1/', 'address_not_allowed'],
  ['http://169.254.169.254/latest/meta-data/', 'address_not_allowed'],
  ['http://a.example:8080/', 'port_not_allowed'],
  ['http://a.example%2eevil.example/', 'invalid_host'],
])('refuses %s with %s', async (url, reason) => {
  const fixture = await setUp((_, response) => response.end())
  const answer = await exchangeBytes(fixture.port, get(url))
  expect(answer.toLowerCase()).toContain(`x-deny-reason: ${reason}`)
  expect(fixture.trace).toEqual([])
})

it.each([
  '127.0.0.1',
  '::1',
  '10.0.0.1',
  '192.168.1.1',
  '169.254.169.254',
  'fd00:ec2::254',
  '::ffff:10.0.0.1',
  '100.64.0.1',
  '198.18.0.1',
  '0.0.0.0',
  '203.0.113.250',
])('refuses an allowed name that resolves to %s, at full as well', async (address) => {
  const fixture = await setUp((_, response) => response.end(), {
    policy: { level: 'full' },
    lookup: async () => [address],
    own: ['203.0.113.250'],
  })
  const answer = await exchangeBytes(fixture.port, get('http://a.example/'))
  expect(answer).toMatch(/^HTTP\/1\.1 403 /)
  expect(answer.toLowerCase()).toContain('x-deny-reason: address_not_allowed')
  expect(fixture.trace).toEqual(['lookup a.example'])
})

it('connects to a private address when the owner listed host and network', async () => {
  const fixture = await setUp((_, response) => response.end('inside'), {
    policy: { domains: ['a.example', 'b.example'] },
    lookup: async () => ['10.1.2.3'],
    allowedNetworks: [{ host: 'a.example', network: '10.1.0.0/16' }],
  })
  expect((await exchangeBytes(fixture.port, get('http://b.example/'))).slice(0, 12)).toBe(
    'HTTP/1.1 403',
  )
  await exchangeBytes(fixture.port, get('http://a.example/'))
  expect(fixture.trace.filter((line) => line.startsWith('open'))).toEqual(['open 10.1.2.3:80'])
})

it('connects to the very address that it checked, when the name answers differently later', async () => {
  const answers = [[STAND_IN], ['169.254.169.254'], ['169.254.169.254', STAND_IN]]
  const fixture = await setUp((_, response) => response.end('public'), {
    lookup: async () => answers.shift() ?? [],
  })
  expect(await exchangeBytes(fixture.port, get('http://a.example/'))).toContain('public')
  const second = await exchangeBytes(fixture.port, get('http://a.example/'))
  expect(second.toLowerCase()).toContain('x-deny-reason: address_not_allowed')
  expect(await exchangeBytes(fixture.port, get('http://a.example/'))).toContain('public')
  expect(fixture.trace.filter((line) => line.startsWith('open'))).toEqual([
    `open ${STAND_IN}:80`,
    `open ${STAND_IN}:80`,
  ])
})

it('hands a redirect to the client, whose next request is judged anew', async () => {
  const fixture = await setUp((_, response) => {
    response.writeHead(302, { location: 'http://evil.example/' }).end()
  })
  const first = await exchangeBytes(fixture.port, get('http://a.example/'))
  expect(first).toMatch(/^HTTP\/1\.1 302 /)
  const location = /location: (.*)\r\n/.exec(first)?.[1] ?? ''
  expect((await exchangeBytes(fixture.port, get(location))).slice(0, 12)).toBe('HTTP/1.1 403')
})

it('applies a changed policy to the next request', async () => {
  const fixture = await setUp((_, response) => response.end('yes'))
  expect(await exchangeBytes(fixture.port, get('http://a.example/'))).toContain('yes')
  fixture.setPolicy({ level: 'none' })
  const answer = await exchangeBytes(fixture.port, get('http://a.example/'))
  expect(answer.toLowerCase()).toContain('x-deny-reason: level_none')
})

it('says 502 or 504 and why when the network fails, and calls it no denial', async () => {
  const never = () => new Promise<string[]>(() => undefined)
  const cases: [Partial<FixtureOptions>, string, string][] = [
    [{ lookup: async () => ['198.51.100.99'] }, '502', 'upstream_unreachable'],
    [{ lookup: async () => Promise.reject(new Error('NXDOMAIN')) }, '502', 'dns_failed'],
    [{ lookup: async () => [] }, '502', 'dns_failed'],
    [{ lookup: never, dnsLimitMs: 30 }, '504', 'dns_timeout'],
  ]
  for (const [options, status, reason] of cases) {
    const fixture = await setUp((_, response) => response.end(), options)
    const answer = await exchangeBytes(fixture.port, get('http://a.example/'))
    expect(answer.slice(9, 12)).toBe(status)
    expect(answer.toLowerCase()).toContain(`x-error-reason: ${reason}`)
    expect(answer.toLowerCase()).not.toContain('x-deny-reason')
    expect(fixture.decisions).toMatchObject([{ allowed: true, reason }])
  }
})

it('ends an exchange with a host that goes quiet or breaks off', async () => {
  const quiet = await setUp(() => undefined, { limits: { idleMs: 50 } })
  expect((await exchangeBytes(quiet.port, get('http://a.example/'))).slice(9, 12)).toBe('504')
  const broken = await setUp((request) => request.socket.destroy())
  expect((await exchangeBytes(broken.port, get('http://a.example/'))).slice(9, 12)).toBe('502')
})

it('lets a client that sends first and reads then have the answer of a host that reads no further', async () => {
  const fixture = await setUp(() => undefined)
  const hasty = createTcpServer((socket) => {
    socket.on('error', () => undefined)
    socket.once('data', () => {
      socket.write('HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nno!')
      socket.resume()
    })
  })
  fixture.route(`${STAND_IN}:80`, await listenOnLoopback(hasty))
  ending.push(async () => hasty.close())
  const body = Buffer.alloc(16 << 20)
  const client = connectTcp(fixture.port, '127.0.0.1')
  client.write(
    `POST http://a.example/ HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n`,
  )
  await new Promise<void>((resolve, reject) => {
    client.once('error', reject)
    client.write(body, () => resolve())
  })
  const [answer] = await once(client, 'data')
  expect(String(answer)).toMatch(/^HTTP\/1\.1 413 /)
  client.destroy()
})

it.each([
  ['two lengths', 'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'],
  ['two different lengths', 'Content-Length: 5\r\nContent-Length: 6\r\n', 'hello'],
  ['another coding last', 'Transfer-Encoding: chunked, identity\r\n', '0\r\n\r\n'],
  ['another coding first', 'Transfer-Encoding: gzip, chunked\r\n', '0\r\n\r\n'],
  ['a bent coding', 'Transfer-Encoding: xchunked\r\n', '0\r\n\r\n'],
  ['a space before the colon', 'Transfer-Encoding : chunked\r\nContent-Length: 3\r\n', 'abc'],
  [
    'a folded header',
    'X: a\r\n b\r\nTransfer-Encoding:\r\n chunked\r\nContent-Length: 3\r\n',
    'abc',
  ],
  ['a bare line feed', 'X: a\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'],
  ['a signed length', 'Content-Length: +3\r\n', 'abc'],
])('refuses a body with %s', async (_, headers, body) => {
  const seen: string[] = []
  const fixture = await setUp((request, response) => {
    seen.push(request.url ?? '')
    response.end()
  })
  const smuggled = 'GET http://a.example/smuggled HTTP/1.1\r\nHost: a\r\n\r\n'
  const head = `POST http://a.example/first HTTP/1.1\r\nHost: a\r\n${headers}\r\n`
  const answer = await exchangeBytes(fixture.port, head + body + smuggled)
  expect(answer).toMatch(/^HTTP\/1\.1 400 /)
  expect(seen).toEqual([])
})

it('streams 400 MB each way in bounded memory', async () => {
  const chunk = randomBytes(1 << 20)
  const total = 400
  const expected = createHash('sha256')
  for (let i = 0; i < total; i++) expected.update(chunk)
  const digest = expected.digest('hex')
  const fixture = await setUp(async (request, response) => {
    if (request.method === 'GET') return void sendChunks(response, chunk, total)
    response.end(await digestOf(request))
  })
  const before = process.memoryUsage.rss()
  const options = { host: '127.0.0.1', port: fixture.port, headers: { host: 'a.example' } }
  const down = await new Promise<string>((resolve) => {
    httpRequest({ ...options, path: 'http://a.example/' }, (response) => {
      void digestOf(response).then(resolve)
    }).end()
  })
  expect(down).toBe(digest)
  const up = await new Promise<string>((resolve) => {
    const outgoing = httpRequest(
      { ...options, path: 'http://a.example/', method: 'PUT' },
      (response) => {
        void textOf(response).then(resolve)
      },
    )
    void sendChunks(outgoing, chunk, total)
  })
  expect(up).toBe(digest)
  // Client, proxy and upstream are one process here, and what they have let go waits for its collection.
  expect(process.memoryUsage.rss() - before).toBeLessThan(300 << 20)
})

it('caps the connections of a session and frees them again', async () => {
  const held: IncomingMessage[] = []
  const fixture = await setUp(
    (request, response) => {
      held.push(request)
      if (held.length > 2) response.end('later')
    },
    { limits: { connectionsPerSession: 2 } },
  )
  const first = exchangeBytes(fixture.port, get('http://a.example/1'))
  const second = exchangeBytes(fixture.port, get('http://a.example/2'))
  await until(() => held.length === 2)
  const third = await exchangeBytes(fixture.port, get('http://a.example/3'))
  expect(third).toMatch(/^HTTP\/1\.1 429 /)
  expect(third).toContain('too_many_connections')
  for (const request of held) request.socket.destroy()
  await Promise.all([first, second])
  expect(await exchangeBytes(fixture.port, get('http://a.example/4'))).toContain('later')
  expect(fixture.proxy.connections('s_aaaaaaaaaaaaaaaaaaaa')).toBe(0)
})

it('passes a WebSocket and its refusal', async () => {
  const fixture = await setUp((_, response) => response.writeHead(404).end('no socket here'))
  const ws = createTcpServer((socket) => {
    socket.once('data', (head) => {
      const wanted = head.toString().includes('\r\nUpgrade: websocket\r\n')
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nearly${wanted}`,
      )
      socket.on('data', (chunk) => socket.end(`echo ${chunk}`))
    })
  })
  ending.push(async () => ws.close())
  const upgrade = (url: string) =>
    get(url, 'Upgrade: websocket\r\n').replace('Connection: close', 'Connection: Upgrade')
  const refused = await exchangeBytes(fixture.port, upgrade('http://a.example/'))
  expect(refused).toMatch(/^HTTP\/1\.1 404 /)
  expect(refused).toContain('no socket here')
  const denied = await exchangeBytes(fixture.port, upgrade('http://evil.example/'))
  expect(denied).toMatch(/^HTTP\/1\.1 403 /)
  fixture.route(`${STAND_IN}:80`, await listenOnLoopback(ws))
  const joined = await exchangeBytes(fixture.port, `${upgrade('http://a.example/')}frame`)
  expect(joined).toMatch(/^HTTP\/1\.1 101 /)
  expect(joined).toContain('earlytrue')
  expect(joined).toContain('echo frame')
})

it('answers an upgrade that it does not know as a plain request', async () => {
  const fixture = await setUp((request, response) =>
    response.end(`upgrade ${request.headers.upgrade}`),
  )
  const text = get('http://a.example/', 'Upgrade: h2c\r\nHTTP2-Settings: x\r\n')
  const answer = await exchangeBytes(
    fixture.port,
    text.replace('close', 'Upgrade, HTTP2-Settings, close'),
  )
  expect(answer).toContain('upgrade undefined')
})

async function sendChunks(to: NodeJS.WritableStream, chunk: Buffer, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    if (!to.write(chunk)) await new Promise((resolve) => to.once('drain', resolve))
  }
  to.end()
}

async function digestOf(stream: AsyncIterable<Buffer>): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of stream) hash.update(chunk)
  return hash.digest('hex')
}

async function textOf(stream: AsyncIterable<Buffer>): Promise<string> {
  const parts: Buffer[] = []
  for await (const chunk of stream) parts.push(chunk)
  return Buffer.concat(parts).toString('utf8')
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve))
}
