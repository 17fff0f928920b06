// Live streams through a WebSocket on a real port: held by the same checks as any request.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { type Caller, HOST, ORIGIN, type OwnersApp, openOwnersApp } from '../app.fixture.ts'
import { type Listening, listenHttp } from '../listen.ts'
import { answerWebSocket } from './web-socket.ts'

let site: OwnersApp
let owner: Caller
let listening: Listening

beforeAll(async () => {
  site = await openOwnersApp()
  owner = site.owner
  listening = await listenHttp(site.test.app, { host: '127.0.0.1', port: 0 })
})
afterAll(async () => {
  await listening.close()
  await site.close()
})

const HANDSHAKE = {
  connection: 'Upgrade',
  upgrade: 'websocket',
  'sec-websocket-version': '13',
  'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
}

function ask(path: string, headers: Record<string, string>, port = listening.port) {
  const socket: Socket = connect(port, '127.0.0.1')
  const lines = Object.entries({ host: HOST, ...headers }).map(
    ([name, value]) => `${name}: ${value}`,
  )
  socket.write(`GET /api/v1${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`)
  let text = ''
  const until = (isEnough: (text: string) => boolean) =>
    new Promise<string>((resolve) => {
      const look = () => isEnough(text) && resolve(text)
      socket.on('data', (chunk) => {
        text += chunk.toString('latin1')
        look()
      })
      socket.on('close', () => resolve(text))
      look()
    })
  return { socket, until }
}

/** A server of its own that answers every upgrade; resolves with its port. */
async function listenFor(answer: (request: Request) => Response, stuckMs?: number) {
  const server = createServer().listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  server.on('upgrade', (incoming, stream, head) => {
    void answerWebSocket(answer, { incoming, socket: stream as Socket, head }, stuckMs)
  })
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

describe('a stream through a WebSocket', () => {
  it('goes on from the number that is named, live, and ends when the page closes', async () => {
    const { id } = await site.newSession()
    for (let i = 0; i < 3; i++) site.test.sessions.append(id, `old ${i} ${'x'.repeat(70_000)}`)
    const headers = { ...HANDSHAKE, origin: ORIGIN, cookie: owner.cookie }
    const { socket, until } = ask(`/sessions/${id}/events/stream?after=2`, headers)
    const replayed = await until((text) => text.includes('old 2'))
    expect(replayed).toMatch(
      /^HTTP\/1.1 101 [\s\S]*Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r\n/,
    )
    expect(replayed).not.toContain('id: 2\n')
    site.test.notify(id, site.test.sessions.append(id, 'new').seq)
    await until((text) => text.includes('"new"'))
    socket.write(Uint8Array.of(0x88, 0x80, 0, 0, 0, 0))
    const all = await until(() => false)
    expect(all.endsWith('\x88\x00')).toBe(true)
  })

  it.each([
    ['another page', { origin: 'http://evil.example' }, 403, 'origin_not_allowed'],
    ['another name', { origin: ORIGIN, host: 'evil.example' }, 403, 'host_not_allowed'],
    ['nobody', { origin: ORIGIN, cookie: '' }, 401, 'login_required'],
  ])('refuses %s', async (_, headers, status, reason) => {
    const all = { ...HANDSHAKE, cookie: owner.cookie, ...headers }
    const answer = await ask('/sessions/stream', all).until(() => false)
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} [\\s\\S]*"${reason}"`))
  })

  it('opens for nothing but a stream, and leaves other upgrades to the usual answer', async () => {
    const signedIn = { origin: ORIGIN, cookie: owner.cookie }
    const { until } = ask('/me', { ...HANDSHAKE, ...signedIn })
    expect(await until(() => false)).toMatch(/^HTTP\/1.1 400 /)
    const other = { connection: 'Upgrade, close', upgrade: 'h2c', ...signedIn }
    expect(await ask('/me', other).until(() => false)).toMatch(/^HTTP\/1.1 200 /)
  })
})

it('lets a stream in which nothing comes go as soon as the page has closed', async () => {
  const left = Promise.withResolvers<void>()
  const answer = ({ signal }: Request) => {
    signal.addEventListener('abort', () => left.resolve())
    return new Response(new ReadableStream(), { headers: { 'content-type': 'text/event-stream' } })
  }
  const { socket, until } = ask('/', HANDSHAKE, await listenFor(answer))
  await until((text) => text.includes('\r\n\r\n'))
  socket.write(Uint8Array.of(0x88, 0x80, 0, 0, 0, 0))
  await left.promise
  socket.destroy()
})

it('renews the sign-in of who asks, and ends for one that reads nothing any more', async () => {
  const left = Promise.withResolvers<void>()
  const answer = ({ signal }: Request) => {
    signal.addEventListener('abort', () => left.resolve())
    const body = new ReadableStream({
      pull: (controller) => controller.enqueue(new Uint8Array(1 << 20)),
    })
    const headers = [
      ['content-type', 'text/event-stream'],
      ['set-cookie', 'a=1; Path=/'],
      ['set-cookie', 'b=2; Path=/'],
    ] satisfies [string, string][]
    return new Response(body, { headers })
  }
  const { socket, until } = ask('/', HANDSHAKE, await listenFor(answer, 100))
  const head = await until((text) => text.includes('\r\n\r\n'))
  expect(head).toContain('Set-Cookie: a=1; Path=/\r\nSet-Cookie: b=2; Path=/\r\n')
  socket.pause()
  await left.promise
  socket.destroy()
})
