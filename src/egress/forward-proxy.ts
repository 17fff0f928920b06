// The forward proxy of all sessions, as a function of `policyFor(session)`: CONNECT, http:// requests and WebSocket upgrades.
// The door hands it parsed requests; it owns no listener. An upstream (corporate) proxy is out of scope: it connects itself.
// It never reads a tunnel beyond the TLS greeting, and it adds no credential.
import type { ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { createOpenExchange, type ForwardProxyDeps, type ProxyCall } from './exchange.ts'
import { serveConnect } from './proxy-connect.ts'
import { serveRequest } from './proxy-request.ts'
import { serveUpgrade } from './proxy-upgrade.ts'

export interface ForwardProxy {
  connect(call: ProxyCall & { socket: Duplex; head: Buffer }): Promise<void>
  request(call: ProxyCall & { response: ServerResponse }): Promise<void>
  upgrade(call: ProxyCall & { socket: Duplex; head: Buffer }): Promise<void>
  connections(sessionId: string): number
}

export function createForwardProxy(deps: ForwardProxyDeps): ForwardProxy {
  const open = new Map<string, number>()
  const openExchange = createOpenExchange(deps, open)
  return {
    connect: (call) => serveConnect(openExchange, call),
    request: (call) => serveRequest(openExchange, call),
    upgrade: (call) => serveUpgrade(openExchange, call),
    connections: (sessionId) => open.get(sessionId) ?? 0,
  }
}
