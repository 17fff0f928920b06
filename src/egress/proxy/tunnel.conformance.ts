// CONNECT on real sockets: what passes, how it ends, and what the TLS greeting has to say.
import { createServer as createTcpServer, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { afterEach, expect, it } from 'vitest'
import {
  createProxyFixture,
  exchangeBytes,
  type FixtureOptions,
  listenOnLoopback,
  openTunnel,
  readAll,
} from './proxy.fixture.ts'

const STAND_IN = '198.51.100.7'
const ending: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const end of ending.splice(0)) await end()
})

async function setUp(onSocket: (socket: Socket) => void, options: Partial<FixtureOptions> = {}) {
  const sockets = new Set<Socket>()
  const upstream = createTcpServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    onSocket(socket)
  })
  const fixture = await createProxyFixture({ lookup: async () => [STAND_IN], ...options })
  const port = await listenOnLoopback(upstream)
  fixture.route(`${STAND_IN}:443`, port)
  ending.push(fixture.close, async () => {
    upstream.close()
    for (const socket of sockets) socket.destroy()
  })
  return { ...fixture, upstreamPort: port }
}

it('carries bytes both ways and counts them', async () => {
  const fixture = await setUp((socket) => {
    socket.on('data', (chunk) => socket.end(`back ${chunk}`))
  })
  const decided = fixture.nextDecision()
  const { socket, head } = await openTunnel(fixture.port, 'A.example:443')
  expect(head).toMatch(/^HTTP\/1\.1 200 /)
  socket.end('forth')
  expect(await readAll(socket)).toBe('back forth')
  expect(await decided).toMatchObject({
    host: 'a.example',
    port: 443,
    method: 'CONNECT',
    allowed: true,
    reason: null,
    bytesUp: 5,
    bytesDown: 10,
  })
})

it('lets a server speak first', async () => {
  const fixture = await setUp((socket) => socket.end('banner'))
  const { socket } = await openTunnel(fixture.port, 'a.example:443')
  expect(await readAll(socket)).toBe('banner')
  socket.end()
})

it('closes each half on its own', async () => {
  const fixture = await setUp((socket) => {
    const parts: Buffer[] = []
    socket.on('data', (chunk) => parts.push(chunk))
    socket.on('end', () => socket.end(`after end: ${Buffer.concat(parts)}`))
  })
  const { socket } = await openTunnel(fixture.port, 'a.example:443')
  socket.write('one ')
  socket.end('two')
  expect(await readAll(socket)).toBe('after end: one two')

  const other = await setUp((upstream) => {
    upstream.end('done talking')
    upstream.on('data', (chunk) => received.push(String(chunk)))
    upstream.on('end', () => heard.resolve())
  })
  const received: string[] = []
  const heard = Promise.withResolvers<void>()
  const tunnel = await openTunnel(other.port, 'a.example:443')
  expect(await readAll(tunnel.socket)).toBe('done talking')
  tunnel.socket.end('still listening?')
  await heard.promise
  expect(received.join('')).toBe('still listening?')
})

it('sends what came together with the request', async () => {
  const fixture = await setUp((socket) => socket.on('data', (chunk) => socket.end(`got ${chunk}`)))
  const text = 'CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\nearly'
  expect(await exchangeBytes(fixture.port, text)).toContain('got early')
})

it('refuses with a header and a sentence', async () => {
  const fixture = await setUp(() => undefined)
  for (const [authority, reason] of [
    ['evil.example:443', 'host_not_allowed'],
    ['a.example:22', 'port_not_allowed'],
    ['198.51.100.7:443', 'address_not_allowed'],
    ['[::1]:443', 'address_not_allowed'],
  ]) {
    const text = `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`
    const answer = await exchangeBytes(fixture.port, text)
    expect(answer).toMatch(/^HTTP\/1\.1 403 /)
    expect(answer).toContain(`x-deny-reason: ${reason}`)
  }
  expect(fixture.trace).toEqual([])
  const bad = await exchangeBytes(fixture.port, 'CONNECT a.example HTTP/1.1\r\nHost: a\r\n\r\n')
  expect(bad).toMatch(/^HTTP\/1\.1 400 /)
})

it('says why there is no tunnel', async () => {
  const fixture = await setUp(() => undefined, { lookup: async () => ['198.51.100.99'] })
  const text = 'CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n'
  const answer = await exchangeBytes(fixture.port, text)
  expect(answer).toMatch(/^HTTP\/1\.1 502 /)
  expect(answer).toContain('x-error-reason: upstream_unreachable')
})

it('tries the next address when one refuses', async () => {
  const fixture = await setUp((socket) => socket.end('second'), {
    lookup: async () => ['198.51.100.99', '10.0.0.1', STAND_IN],
  })
  const { socket } = await openTunnel(fixture.port, 'a.example:443')
  expect(await readAll(socket)).toBe('second')
  socket.end()
  expect(fixture.trace).toEqual([
    'lookup a.example',
    'open 198.51.100.99:443',
    `open ${STAND_IN}:443`,
  ])
})

it('ends an idle tunnel and one whose client has gone', async () => {
  const idle = await setUp(() => undefined, { limits: { idleMs: 50 } })
  const decided = idle.nextDecision()
  await openTunnel(idle.port, 'a.example:443')
  expect(await decided).toMatchObject({ allowed: true, reason: 'idle' })

  const closed = Promise.withResolvers<void>()
  const gone = await setUp((socket) => socket.on('end', () => closed.resolve()).resume())
  const { socket } = await openTunnel(gone.port, 'a.example:443')
  socket.resetAndDestroy()
  await closed.promise
  expect(gone.proxy.connections('s_aaaaaaaaaaaaaaaaaaaa')).toBe(0)
})

it('holds back a fast sender for a slow reader', async () => {
  const chunk = Buffer.alloc(1 << 20)
  const total = 128
  let sent = 0
  const fixture = await setUp((socket) => {
    const fill = () => {
      while (sent < total) {
        sent += 1
        if (!socket.write(chunk)) return
      }
      socket.end()
    }
    socket.on('drain', fill)
    fill()
  })
  const { socket } = await openTunnel(fixture.port, 'a.example:443')
  let received = 0
  let mostAhead = 0
  for await (const bytes of socket) {
    received += (bytes as Buffer).length
    mostAhead = Math.max(mostAhead, sent * chunk.length - received)
    await new Promise((resolve) => setImmediate(resolve))
  }
  expect(received).toBe(total * chunk.length)
  expect(mostAhead).toBeLessThan(48 << 20)
})

async function greet(fixture: { port: number }, servername: string | undefined) {
  const { socket } = await openTunnel(fixture.port, 'a.example:443')
  return new Promise<string>((resolve) => {
    const tls = connectTls({
      socket,
      ...(servername ? { servername } : {}),
      rejectUnauthorized: false,
    })
    tls.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    tls.on('close', () => resolve('closed'))
  })
}

it('wants the TLS server name to be the name that was asked for', async () => {
  const received: Buffer[] = []
  const fixture = await setUp((socket) => {
    socket.on('data', (chunk) => {
      received.push(chunk)
      socket.destroy()
    })
  })
  let decided = fixture.nextDecision()
  expect(await greet(fixture, 'evil.example')).toMatch(/UNRECOGNIZED_NAME/)
  expect(await decided).toMatchObject({ allowed: false, reason: 'sni_mismatch', bytesUp: 0 })
  decided = fixture.nextDecision()
  await greet(fixture, undefined)
  expect(await decided).toMatchObject({ allowed: false, reason: 'sni_missing', bytesUp: 0 })
  expect(received).toEqual([])
  decided = fixture.nextDecision()
  await greet(fixture, 'a.example')
  expect(await decided).toMatchObject({ allowed: true })
  expect(received.length).toBeGreaterThan(0)
})

it('does not look at the server name at full', async () => {
  const fixture = await setUp((socket) => socket.once('data', () => socket.destroy()), {
    policy: { level: 'full' },
  })
  const decided = fixture.nextDecision()
  await greet(fixture, 'other.example')
  expect(await decided).toMatchObject({ allowed: true })
})

it('sends nothing on of a greeting that breaks off', async () => {
  const received: Buffer[] = []
  const fixture = await setUp((socket) => socket.on('data', (chunk) => received.push(chunk)))
  const decided = fixture.nextDecision()
  const { socket } = await openTunnel(fixture.port, 'a.example:443')
  socket.end(Buffer.from([22, 3, 1, 1, 0, 1, 0]))
  expect(await decided).toMatchObject({ allowed: false, reason: 'tls_malformed' })
  expect(received).toEqual([])
})
