// For suites: an https server with an authority of its own, a plain one beside it, and proxies that end the TLS of some hosts with
// another authority, all on loopback; and clients that trust that one alone.
import {
  createServer as createHttpServer,
  request as httpRequest,
  type IncomingMessage,
  type RequestListener,
} from 'node:http'
import {
  type ClientHttp2Session,
  connect as connectHttp2,
  type OutgoingHttpHeaders,
} from 'node:http2'
import { createServer as createHttpsServer } from 'node:https'
import { connect as connectTls, createSecureContext, type TLSSocket } from 'node:tls'
import {
  createProxyFixture,
  type FixtureOptions,
  listenOnLoopback,
  openTunnel,
  type ProxyFixture,
} from '../proxy/proxy.fixture.ts'
import type { BoundCredential } from '../rules/bound-credentials.ts'
import { type Authority, createLeaves, makeAuthority } from './authority.ts'
import { createSecureUpstream } from './upstream-tls.ts'

/** Where all names lead; the servers stand in for it. */
export const STAND_IN = '198.51.100.7'
export const SECRET = 'tok-s3cret-0123456789'

export type EndingFixture = Awaited<ReturnType<typeof createEndingFixture>>

/** What both servers do; a test may set another `listener`. */
export interface Answering {
  listener: RequestListener
}

export const echo: RequestListener = (request, response) => {
  const { method, url, headers } = request
  response.end(JSON.stringify({ method, url, headers }))
}

export async function createEndingFixture() {
  const inside = await makeAuthority(Date.now())
  const outside = await makeAuthority(Date.now())
  const answering: Answering = { listener: echo }
  const leafFor = await createLeaves(outside, Date.now)
  const upstream = createHttpsServer(
    {
      SNICallback: (name, done) => {
        leafFor(name).then((leaf) => done(null, createSecureContext(leaf)), done)
      },
      ALPNProtocols: ['http/1.1'],
    },
    (request, response) => answering.listener(request, response),
  )
  const plain = createHttpServer((request, response) => answering.listener(request, response))
  const ports = { 443: await listenOnLoopback(upstream), 80: await listenOnLoopback(plain) }
  const ended = {
    leafFor: await createLeaves(inside, Date.now),
    secure: createSecureUpstream([outside.certificate]),
  }
  const proxies: ProxyFixture[] = []
  return {
    inside,
    outside,
    ended,
    answering,
    setUp: async (options: Partial<FixtureOptions> = {}): Promise<ProxyFixture> => {
      const lookup = async () => [STAND_IN]
      const fixture = await createProxyFixture({ lookup, ending: ended, ...options })
      for (const [port, local] of Object.entries(ports)) fixture.route(`${STAND_IN}:${port}`, local)
      proxies.push(fixture)
      return fixture
    },
    openInner: (fixture: ProxyFixture, asked?: Inner) => openInner(inside, fixture, asked),
    ask: (fixture: ProxyFixture, asked?: Asked) => ask(inside, fixture, asked),
    openHttp2: (fixture: ProxyFixture) => openHttp2(inside, fixture),
    askHttp2: (fixture: ProxyFixture, headers: OutgoingHttpHeaders, body?: string) =>
      askHttp2(inside, fixture, { headers, ...(body === undefined ? {} : { body }) }),
    /** Ends what was set up since, and answers as at first. */
    reset: async () => {
      answering.listener = echo
      for (const { close } of proxies.splice(0)) await close()
    },
    close: () => {
      for (const server of [upstream, plain]) {
        server.close()
        server.closeAllConnections()
      }
    },
  }
}

export const bearer = (fields: Partial<BoundCredential> = {}): BoundCredential => ({
  ...{ id: `c_${'a'.repeat(20)}`, name: 'api', kind: 'bearer', username: '', secret: SECRET },
  ...{
    hosts: [{ host: 'a.example', below: false, port: null }],
    paths: [],
    header: 'Authorization',
  },
  ...{ prefix: '', parameter: '', variable: 'TOKEN', allowHttp: false, createdAt: '2026-01-01' },
  except: null,
  ...fields,
})

interface Inner {
  host?: string
  protocols?: string[]
  servername?: string
}

async function openInner(
  inside: Authority,
  { port }: ProxyFixture,
  asked: Inner = {},
): Promise<TLSSocket> {
  const { host = 'a.example', protocols = ['http/1.1'], servername = host } = asked
  const { socket, head } = await openTunnel(port, `${host}:443`)
  if (!head.startsWith('HTTP/1.1 200 ')) throw new Error(`the proxy answered: ${head}`)
  return new Promise((resolve, reject) => {
    const tls = connectTls({
      socket,
      servername,
      ca: [inside.certificate],
      ALPNProtocols: protocols,
    })
    tls.once('secureConnect', () => resolve(tls))
    tls.once('error', reject)
  })
}

interface Answer {
  status: number
  headers: IncomingMessage['headers']
  text: string
}

interface Asked {
  host?: string
  path?: string
  method?: string
  headers?: Record<string, string>
  body?: string
}

/** One request over HTTP/1.1 inside the ended connection. */
async function ask(
  inside: Authority,
  fixture: ProxyFixture,
  { host = 'a.example', path = '/', ...options }: Asked = {},
): Promise<Answer> {
  const socket = await openInner(inside, fixture, { host })
  return new Promise((resolve, reject) => {
    const request = httpRequest({
      createConnection: () => socket,
      port: 443,
      defaultPort: 443,
      host,
      path,
      ...options,
    })
    request.on('error', reject)
    request.on('response', async (response) => {
      let text = ''
      for await (const chunk of response) text += chunk
      resolve({ status: response.statusCode ?? 0, headers: response.headers, text })
    })
    request.end(options.body)
  })
}

async function openHttp2(inside: Authority, { port }: ProxyFixture): Promise<ClientHttp2Session> {
  const { socket } = await openTunnel(port, 'a.example:443')
  return connectHttp2('https://a.example', {
    // An upload may wait as a whole.
    maxSessionMemory: 100,
    createConnection: () =>
      connectTls({
        socket,
        servername: 'a.example',
        ca: [inside.certificate],
        ALPNProtocols: ['h2'],
      }),
  })
}

async function askHttp2(
  inside: Authority,
  fixture: ProxyFixture,
  { headers, body }: { headers: OutgoingHttpHeaders; body?: string },
): Promise<{ status: number; text: string; windowBytes: number | undefined }> {
  const session = await openHttp2(inside, fixture)
  const stream = session.request(headers, { endStream: body === undefined })
  if (body !== undefined) stream.end(body)
  let status = 0
  stream.on('response', (answered) => {
    status = Number(answered[':status'])
  })
  let text = ''
  for await (const chunk of stream) text += chunk
  const { initialWindowSize: windowBytes } = session.remoteSettings
  session.close()
  return { status, text, windowBytes }
}
