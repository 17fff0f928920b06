// For the suites of the proxy: a proxy on loopback whose names resolve to stand-in addresses and whose connections to those
// end at loopback servers, so that the rules see the addresses of the case and no packet leaves the machine.
import { createServer, type IncomingMessage, type Server } from 'node:http'
import {
  type AddressInfo,
  connect as connectTcp,
  type createServer as createTcpServer,
  type Socket,
} from 'node:net'
import type { NetworkPolicy } from '../../protocol/environment.ts'
import { createConnect } from '../dialling/connect.ts'
import { createDial } from '../dialling/dial.ts'
import { createResolve, type Lookup } from '../dialling/resolve.ts'
import type { BoundCredential } from '../rules/bound-credentials.ts'
import { type AllowedNetwork, compileRules } from '../rules/policy.ts'
import type { TrafficLimits } from '../rules/traffic.ts'
import type { EgressDecision, ProxyLimits, TlsEnding } from './exchange.ts'
import { createForwardProxy, type ForwardProxy } from './forward-proxy.ts'
import { isWebSocketUpgrade } from './proxy-upgrade.ts'

export interface ProxyFixture {
  port: number
  proxy: ForwardProxy
  decisions: EgressDecision[]
  /** What was told of connections while they were open. */
  opened: EgressDecision[]
  /** The next decision that is made. */
  nextDecision(): Promise<EgressDecision>
  /** What was looked up and connected to, in order. */
  trace: string[]
  /** Connections to `address:port` end at this loopback port. */
  route(target: string, realPort: number): void
  setPolicy(policy: Partial<NetworkPolicy>): void
  setLists(lists: { allow: string[]; deny: string[] }): void
  /** As the gateway does when a policy has changed; how many were ended. */
  recheck(): number
  close(): Promise<void>
}

export interface FixtureOptions {
  policy?: Partial<NetworkPolicy>
  lookup: Lookup
  allowedNetworks?: AllowedNetwork[]
  own?: string[]
  limits?: Partial<ProxyLimits>
  traffic?: TrafficLimits
  credentials?: BoundCredential[]
  ending?: TlsEnding
  dnsLimitMs?: number
  connectLimitMs?: number
}

const SESSION = 's_aaaaaaaaaaaaaaaaaaaa'

export async function createProxyFixture(options: FixtureOptions): Promise<ProxyFixture> {
  const trace: string[] = []
  const decisions: EgressDecision[] = []
  const opened: EgressDecision[] = []
  const waiting: ((decision: EgressDecision) => void)[] = []
  const routes = new Map<string, number>()
  let policy = policyOf(options.policy ?? {})
  let lists = { allow: [] as string[], deny: [] as string[] }
  const rules = () =>
    compileRules(
      policy,
      { registries: [], allowedNetworks: options.allowedNetworks ?? [], lists },
      options.credentials,
    )
  const proxy = createForwardProxy({
    policyFor: rules,
    credentialsFor: () => options.credentials ?? [],
    ...(options.ending ? { ending: options.ending } : {}),
    dial: createDial({
      resolve: createResolve({
        lookup: (name, signal) => {
          trace.push(`lookup ${name}`)
          return options.lookup(name, signal)
        },
        limitMs: options.dnsLimitMs ?? 2_000,
      }),
      connect: createConnect({
        open: (address, port) => {
          trace.push(`open ${address}:${port}`)
          // A port that nothing listens on stands for a host that refuses.
          return openLoopback(routes.get(`${address}:${port}`) ?? 1)
        },
        limitMs: options.connectLimitMs ?? 2_000,
        nextAfterMs: 20,
      }),
      ownAddresses: () => options.own ?? [],
    }),
    onDecision: (decision) => {
      decisions.push(decision)
      for (const resolve of waiting.splice(0)) resolve(decision)
    },
    onOpen: (decision) => opened.push(decision),
    trafficFor: () => options.traffic,
    ...(options.limits ? { limits: options.limits } : {}),
  })
  const { server, end } = serveProxy(proxy)
  const port = await listenOnLoopback(server)
  return {
    port,
    proxy,
    decisions,
    opened,
    trace,
    nextDecision: () => new Promise((resolve) => waiting.push(resolve)),
    route: (target, realPort) => void routes.set(target, realPort),
    setPolicy: (next) => {
      policy = policyOf(next)
    },
    setLists: (next) => {
      lists = next
    },
    recheck: () => proxy.recheck(SESSION, rules()),
    close: end,
  }
}

export function listenOnLoopback(
  server: Server | ReturnType<typeof createTcpServer>,
): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port))
  })
}

/** Sends bytes and collects what comes back until the other side ends. */
export function exchangeBytes(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp(port, '127.0.0.1', () => socket.write(text))
    const parts: Buffer[] = []
    socket.on('data', (chunk) => parts.push(chunk))
    socket.on('error', reject)
    socket.on('end', () => resolve(Buffer.concat(parts).toString('latin1')))
  })
}

/** Opens a tunnel; resolves with the socket and the head of the answer. What follows the head stays unread. */
export function openTunnel(
  port: number,
  authority: string,
): Promise<{ socket: Socket; head: string }> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp({ port, host: '127.0.0.1', allowHalfOpen: true }, () => {
      socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`)
    })
    let text = ''
    const onData = (chunk: Buffer) => {
      text += chunk.toString('latin1')
      const end = text.indexOf('\r\n\r\n')
      if (end === -1) return
      socket.off('data', onData)
      socket.pause()
      const rest = text.slice(end + 4)
      if (rest) socket.unshift(Buffer.from(rest, 'latin1'))
      resolve({ socket, head: text.slice(0, end) })
    }
    socket.on('data', onData)
    socket.on('error', reject)
  })
}

/** Reads a socket to its end. */
export async function readAll(socket: Socket): Promise<string> {
  const parts: Buffer[] = []
  for await (const chunk of socket) parts.push(chunk as Buffer)
  return Buffer.concat(parts).toString('latin1')
}

export function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}

function serveProxy(proxy: ForwardProxy): { server: Server; end: () => Promise<void> } {
  const sessionId = SESSION
  const server = createServer({ shouldUpgradeCallback: isWebSocketUpgrade })
  const opened = new Set<Socket>()
  server.on('connection', (socket: Socket) => opened.add(socket))
  server.on('connect', (request, socket, head) => {
    void proxy.connect({ sessionId, request, socket, head })
  })
  server.on('upgrade', (request, socket, head) => {
    void proxy.upgrade({ sessionId, request, socket, head })
  })
  server.on('request', (request: IncomingMessage, response) => {
    void proxy.request({ sessionId, request, response })
  })
  const end = () => {
    // Tunnels are no longer the server's own connections.
    for (const socket of opened) socket.destroy()
    return closeServer(server)
  }
  return { server, end }
}

function policyOf(fields: Partial<NetworkPolicy>): NetworkPolicy {
  return { level: 'custom', domains: ['a.example'], includeTrusted: false, ...fields }
}

function openLoopback(port: number): Socket {
  return connectTcp({ port, host: '127.0.0.1', allowHalfOpen: true })
}
