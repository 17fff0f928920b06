// Connections whose TLS is ended at the gateway, on real sockets: who answers whom, what is added, and what is refused. The
// authority inside and the one of the upstream server are two, so that each side is seen to trust its own alone.
import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import { constants } from 'node:http2'
import { PassThrough, type Writable } from 'node:stream'
import {
  connect as connectTls,
  createSecureContext,
  createServer as createTlsServer,
} from 'node:tls'
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import {
  createProxyFixture,
  exchangeBytes,
  listenOnLoopback,
  openTunnel,
  readAll,
} from '../proxy/proxy.fixture.ts'
import { placeholderOf, toBound } from '../rules/bound-credentials.ts'
import type { OwnPaths } from '../rules/own-paths.ts'
import { createLeaves, isWhole } from './authority.ts'
import {
  bearer,
  createEndingFixture,
  type EndingFixture,
  echo,
  SECRET,
  STAND_IN,
} from './tls-ending.fixture.ts'
import { createSecureUpstream } from './upstream-tls.ts'

let place: EndingFixture
beforeAll(async () => {
  place = await createEndingFixture()
})
afterAll(() => place.close())
afterEach(() => place.reset())

it('makes an authority whose key is its own', () => {
  expect(isWhole(place.inside)).toBe(true)
  expect(isWhole({ ...place.inside, key: place.outside.key })).toBe(false)
})

describe('a credential', () => {
  it('is added to requests of its host, in place of what the client sent, over HTTP/1.1 and HTTP/2', async () => {
    const fixture = await place.setUp({ credentials: [bearer()] })
    const decided = fixture.nextDecision()
    const headers = { Authorization: 'Bearer mine', Accept: 'x/y' }
    const one = await place.ask(fixture, { path: '/v1/x?y=1', headers })
    expect(JSON.parse(one.text)).toMatchObject({
      ...{ method: 'GET', url: '/v1/x?y=1' },
      headers: { host: 'a.example', authorization: `Bearer ${SECRET}`, accept: 'x/y' },
    })
    expect(await decided).toMatchObject({ host: 'a.example', method: 'GET', credential: 'api' })
    expect(JSON.stringify(await decided)).not.toContain(SECRET)
    const two = await place.askHttp2(
      fixture,
      { ':path': '/v2', ':method': 'POST', cookie: ['a=1', 'b=2'] },
      'body',
    )
    expect(JSON.parse(two.text)).toMatchObject({
      ...{ method: 'POST', url: '/v2' },
      headers: { authorization: `Bearer ${SECRET}`, cookie: 'a=1; b=2' },
    })
    // With the usual 64 KiB an upload waits for the way back most of the time.
    expect(two.windowBytes).toBe(256 * 1024)
  })

  it('makes its host reachable at every level, on its own paths, and nothing else', async () => {
    const fixture = await place.setUp({
      ...{ policy: { level: 'none' }, credentials: [bearer({ paths: ['/v1/'] })] },
    })
    expect((await place.ask(fixture, { path: '/v1/x' })).status).toBe(200)
    for (const path of ['/v2/x', '/v1/../v2', '/v1%2f..%2fv2', '/']) {
      const { status, headers } = await place.ask(fixture, { path })
      expect([path, status, headers['x-deny-reason']]).toEqual([path, 403, 'path_not_allowed'])
    }
    const text = 'CONNECT b.example:443 HTTP/1.1\r\nHost: b.example:443\r\n\r\n'
    expect(await exchangeBytes(fixture.port, text)).toContain('x-deny-reason: level_none')
    const http =
      'GET http://a.example/v1/x HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n'
    expect(await exchangeBytes(fixture.port, http)).toContain('x-deny-reason: level_none')
  })

  it('is not added to plain http, unless it says so', async () => {
    const get = 'GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n'
    const fixture = await place.setUp({ credentials: [bearer()] })
    expect(await exchangeBytes(fixture.port, get)).not.toContain(SECRET)
    const plainly = await place.setUp({ credentials: [bearer({ allowHttp: true })] })
    expect(await exchangeBytes(plainly.port, get)).toContain(SECRET)
    // And through a tunnel on port 80, which is how programs without a proxy variable arrive.
    const { socket } = await openTunnel(plainly.port, 'a.example:80')
    socket.write('GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n')
    expect(await readAll(socket)).toContain(SECRET)
  })

  it('does not follow a redirect to another host', async () => {
    place.answering.listener = (request, response) => {
      if (request.headers.host !== 'a.example')
        return response.end(request.headers.authorization ?? 'none')
      response.writeHead(302, { location: 'https://b.example/' }).end()
    }
    const policy = { domains: ['a.example', 'b.example'] }
    const fixture = await place.setUp({ policy, credentials: [bearer()] })
    const redirected = await place.ask(fixture, {})
    expect([redirected.status, redirected.headers.location]).toEqual([302, 'https://b.example/'])
    // The other host stays a tunnel: its own certificate is what the client sees.
    const { socket } = await openTunnel(fixture.port, 'b.example:443')
    const tls = connectTls({ socket, servername: 'b.example', ca: [place.outside.certificate] })
    tls.end('GET / HTTP/1.1\r\nHost: b.example\r\nConnection: close\r\n\r\n')
    expect(await readAll(tls)).toContain('none')
  })

  it('replaces its placeholder where a client uses it as a password', async () => {
    const credential = bearer()
    const fixture = await place.setUp({ credentials: [credential] })
    const basic = (password: string) =>
      `Basic ${Buffer.from(`user:${password}`).toString('base64')}`
    const headers = { Authorization: basic(placeholderOf(credential)) }
    const { text } = await place.ask(fixture, { headers })
    expect(JSON.parse(text).headers.authorization).toBe(basic(SECRET))
  })
})

describe('rules on methods and paths', () => {
  const rules = [{ host: 'a.example', methods: ['GET', 'HEAD'], paths: ['/v1/*'] }]

  it.each([
    ['custom', ['a.example']],
    ['trusted', []],
  ] as const)('hold over HTTP/1.1, HTTP/2 and plain http at level %s', async (level, domains) => {
    const fixture = await place.setUp({ policy: { level, domains: [...domains], rules } })
    expect((await place.ask(fixture, { path: '/v1/x' })).status).toBe(200)
    const denied = [
      [{ path: '/v1/x', method: 'DELETE' }, 'method_not_allowed'],
      [{ path: '/v2/x' }, 'path_not_allowed'],
      [{ path: '/v1/%2e%2e/v2' }, 'path_not_allowed'],
      [{ path: '/v1/..%2fv2' }, 'path_not_allowed'],
    ] as const
    for (const [asked, reason] of denied) {
      const { status, headers } = await place.ask(fixture, asked)
      expect([status, headers['x-deny-reason']]).toEqual([403, reason])
    }
    expect((await place.askHttp2(fixture, { ':path': '/v2' })).status).toBe(403)
    const http =
      'POST http://a.example/v1/x HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n'
    expect(await exchangeBytes(fixture.port, http)).toContain('x-deny-reason: method_not_allowed')
    expect(fixture.decisions.map(({ reason }) => reason)).toContain('path_not_allowed')
  })

  it('are refused altogether where TLS cannot be ended', async () => {
    const fixture = await createProxyFixture({ lookup: async () => [STAND_IN], policy: { rules } })
    onTestFinished(fixture.close)
    const text = 'CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n'
    expect(await exchangeBytes(fixture.port, text)).toContain('x-deny-reason: tls_not_ended')
  })
})

describe('an ended connection', () => {
  it('is refused when Host, :authority or server name is another', async () => {
    const fixture = await place.setUp({ credentials: [bearer()] })
    const other = await place.ask(fixture, { headers: { Host: 'evil.example' } })
    expect([other.status, other.headers['x-error-reason']]).toEqual([421, 'authority_mismatch'])
    expect((await place.askHttp2(fixture, { ':authority': 'evil.example' })).status).toBe(421)
    const decided = fixture.nextDecision()
    await expect(place.openInner(fixture, { servername: 'evil.example' })).rejects.toThrow(
      /unrecognized/i,
    )
    expect(await decided).toMatchObject({ allowed: false, reason: 'sni_mismatch' })
  })

  it('never sends a request whose length can be read in two ways, nor TRACE', async () => {
    let asked = 0
    place.answering.listener = (_, response) => {
      asked += 1
      response.end()
    }
    const fixture = await place.setUp({ credentials: [bearer()] })
    for (const head of [
      'POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      'POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
      'GET / HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n\r\n',
      'GET https://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n',
    ]) {
      const tls = await place.openInner(fixture)
      tls.end(head)
      expect(await readAll(tls)).toMatch(/^HTTP\/1\.1 4(00|21) /)
    }
    const traced = await place.ask(fixture, { method: 'TRACE' })
    expect(traced.headers['x-deny-reason']).toBe('method_not_allowed')
    expect(asked).toBe(0)
  })

  it('says so when the certificate of the host is not trusted', async () => {
    const fixture = await place.setUp({
      credentials: [bearer()],
      ending: { ...place.ended, secure: createSecureUpstream([place.inside.certificate]) },
    })
    const { status, headers } = await place.ask(fixture)
    expect([status, headers['x-error-reason']]).toEqual([502, 'upstream_certificate'])
  })

  it('says how long to wait when requests come too fast', async () => {
    const fixture = await place.setUp({
      traffic: { connectionsPerSecond: 1, bytesPerDay: 1e9 },
      credentials: [bearer()],
    })
    const answers = await Promise.all(Array.from({ length: 12 }, () => place.ask(fixture)))
    const refused = answers.find(({ status }) => status === 429)?.headers
    expect([refused?.['x-deny-reason'], refused?.['retry-after']]).toEqual(['rate_limited', '1'])
  })

  it('answers own paths itself, and the rest by the rules', async () => {
    const fixture = await place.setUp({
      policy: { level: 'none' },
      ending: {
        ...place.ended,
        ownPathsAt: (_, { host }) =>
          host === 'a.example'
            ? {
                takes: (path) => path.startsWith('/team/shop.git/'),
                serve: async ({ request, response }) => void response.end(`own ${request.url}`),
              }
            : undefined,
      },
    })
    expect((await place.ask(fixture, { path: '/team/shop.git/info/refs' })).text).toBe(
      'own /team/shop.git/info/refs',
    )
    const { status, headers } = await place.ask(fixture, { path: '/other' })
    expect([status, headers['x-deny-reason']]).toEqual([403, 'level_none'])
  })

  it('outlives a client that breaks off while it is found out who answers', async () => {
    const found = Promise.withResolvers<OwnPaths>()
    const { proxy } = await place.setUp({
      ending: { ...place.ended, ownPathsAt: () => found.promise },
    })
    const socket = new PassThrough()
    const request = { url: 'a.example:443', method: 'CONNECT' } as IncomingMessage
    const call = { sessionId: 's_aaaaaaaaaaaaaaaaaaaa', request, socket, head: Buffer.alloc(0) }
    const served = proxy.connect(call)
    const closed = new Promise((resolve) => socket.once('close', resolve))
    socket.destroy(new Error('reset by the client'))
    await closed
    found.resolve({ takes: () => true, serve: async () => undefined })
    await served
  })

  it('outlives a client of HTTP/2 that resets its upload and calls that no error', async () => {
    const asked = Promise.withResolvers<void>()
    place.answering.listener = () => asked.resolve()
    const fixture = await place.setUp({ credentials: [bearer()] })
    const session = await place.openHttp2(fixture)
    const stream = session.request({ ':path': '/', ':method': 'POST' }, { endStream: false })
    // More than host and windows take, so that some of it stands between.
    stream.write(Buffer.alloc(16 << 20))
    await asked.promise
    const decided = fixture.nextDecision()
    stream.close(constants.NGHTTP2_NO_ERROR)
    expect(await decided).toMatchObject({ reason: 'client_closed' })
    place.answering.listener = echo
    // The connection is there for the next request.
    const next = session.request({ ':path': '/next' })
    const [headers] = await once(next, 'response')
    expect(headers[':status']).toBe(200)
    session.destroy()
  })

  it.each([
    ['upstream_timeout', () => undefined],
    ['upstream_broken', (response: ServerResponse) => response.destroy()],
  ])(
    'shows a client of HTTP/2 as broken what its host did not send to the end: %s',
    async (reason, then) => {
      place.answering.listener = (_, response) =>
        void response.write('half of it', () => then(response))
      const fixture = await place.setUp({ credentials: [bearer()], limits: { idleMs: 1_000 } })
      const decided = fixture.nextDecision()
      const session = await place.openHttp2(fixture)
      session.on('error', () => undefined)
      const stream = session.request({ ':path': '/' })
      const read = async () => {
        for await (const _ of stream);
      }
      await expect(read()).rejects.toThrow(/INTERNAL_ERROR/)
      expect(await decided).toMatchObject({ reason })
      session.destroy()
    },
  )

  it('shows a client of HTTP/2 as broken what idles with it', async () => {
    const lookup = () => new Promise<string[]>(() => undefined)
    const fixture = await place.setUp({ lookup, limits: { idleMs: 1 }, credentials: [bearer()] })
    const session = await place.openHttp2(fixture)
    session.on('error', () => undefined)
    const stream = session.request({ ':path': '/' })
    await expect(once(stream, 'end')).rejects.toThrow('code 2')
  })

  it('holds back a fast sender for a slow reader, both ways', async () => {
    const chunk = Buffer.alloc(1 << 20, 120)
    const total = 48
    const up = { sent: 0, received: 0, ahead: 0 }
    const down = { sent: 0, received: 0, ahead: 0 }
    const note = async (way: typeof up, bytes: Buffer) => {
      way.received += bytes.length
      way.ahead = Math.max(way.ahead, way.sent * chunk.length - way.received)
      await new Promise((resolve) => setImmediate(resolve))
    }
    const fill = async (way: typeof up, to: Writable) => {
      for (; way.sent < total; way.sent++)
        if (!to.write(chunk)) await new Promise((resolve) => to.once('drain', resolve))
      to.end()
    }
    place.answering.listener = async (request, response) => {
      for await (const bytes of request) await note(up, bytes as Buffer)
      await fill(down, response)
    }
    const fixture = await place.setUp({ credentials: [bearer()] })
    const socket = await place.openInner(fixture)
    const request = httpRequest({
      createConnection: () => socket,
      ...{ host: 'a.example', port: 443, defaultPort: 443, method: 'POST' },
    })
    const answered = new Promise<IncomingMessage>((resolve) => request.once('response', resolve))
    await fill(up, request)
    for await (const bytes of await answered) await note(down, bytes as Buffer)
    for (const way of [up, down]) {
      expect(way.received).toBe(total << 20)
      expect(way.ahead).toBeLessThan(24 << 20)
    }
  })

  it('carries a WebSocket', async () => {
    const leafFor = await createLeaves(place.outside, Date.now)
    const server = createTlsServer(
      {
        SNICallback: (name, done) =>
          void leafFor(name).then((leaf) => done(null, createSecureContext(leaf))),
      },
      (socket) => {
        socket.once('data', (head) => {
          const key = /authorization: (.*)\r\n/i.exec(String(head))?.[1]
          socket.write(
            `HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Seen: ${key}\r\n\r\n`,
          )
          socket.on('data', (bytes) => socket.end(`echo ${bytes}`))
        })
      },
    )
    const fixture = await place.setUp({ credentials: [bearer()] })
    fixture.route(`${STAND_IN}:443`, await listenOnLoopback(server))
    onTestFinished(() => void server.close())
    const tls = await place.openInner(fixture)
    tls.write(
      'GET /ws HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
    )
    const head = await new Promise<Buffer>((resolve) => tls.once('data', resolve))
    expect(String(head)).toContain(`X-Seen: Bearer ${SECRET}`)
    tls.write('hello')
    expect(await readAll(tls)).toContain('echo hello')
  })
})

it('reads a binding as it was saved', () => {
  const binding = {
    ...{ name: '', otherHosts: ['files.example:8443'], paths: [], header: 'X-Key', prefix: 'Key' },
    ...{ parameter: null, environmentId: null, variable: null, allowHttp: false },
  }
  const saved = { id: 'c_x', host: '*.a.example', kind: 'header' as const, username: '', binding }
  expect(toBound({ ...saved, createdAt: '', lastUsedAt: null, secret: 'x' }, null)).toMatchObject({
    name: '*.a.example',
    prefix: 'Key ',
    hosts: [
      { host: 'a.example', below: true, port: null },
      { host: 'files.example', below: false, port: 8443 },
    ],
  })
})
