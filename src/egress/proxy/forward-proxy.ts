// The forward proxy of all sessions, as a function of `policyFor(session)`: CONNECT, http:// requests and WebSocket upgrades.
// The door hands it parsed requests; it owns no listener. An upstream (corporate) proxy is out of scope: it connects itself.
// A tunnel is never read beyond its TLS greeting; hosts that need more than a tunnel have their TLS ended (ended-connect.ts).
import type { ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { pickCredential } from '../rules/bound-credentials.ts'
import { isJudgedByHost } from '../rules/decide.ts'
import { hostText } from '../rules/hosts.ts'
import type { EgressRules } from '../rules/policy.ts'
import { createTraffic } from '../rules/traffic.ts'
import { createServeEnded } from '../tls/ended-connect.ts'
import {
  createOpenExchange,
  describeEntry,
  type ForwardProxyDeps,
  type ProxyCall,
  type ProxyRules,
} from './exchange.ts'
import { createOpenExchanges } from './open-exchanges.ts'
import { judgeGreeting, serveConnect } from './proxy-connect.ts'
import { upstreamHeaders } from './proxy-headers.ts'
import { serveRequest } from './proxy-request.ts'
import { framingFault, parseAbsoluteTarget } from './proxy-target.ts'
import { serveUpgrade } from './proxy-upgrade.ts'

export interface ForwardProxy {
  connect(call: ProxyCall & { socket: Duplex; head: Buffer }): Promise<void>
  request(call: ProxyCall & { response: ServerResponse }): Promise<void>
  upgrade(call: ProxyCall & { socket: Duplex; head: Buffer }): Promise<void>
  connections(sessionId: string): number
  /** The session's rules are these from now on: what is open and not allowed by them is ended. How many that were. */
  recheck(sessionId: string, rules: EgressRules): number
  /** The session is over: what is open is left to its end. */
  forget(sessionId: string): void
}

/** Resolves with false for what is to go out by the rules, or to be refused by them. */
async function servePlainOwn(
  { ending }: Pick<ForwardProxyDeps, 'ending'>,
  { sessionId, request, response }: Parameters<ForwardProxy['request']>[0],
): Promise<boolean> {
  const parsed = parseAbsoluteTarget(request.url ?? '')
  if ('reason' in parsed || framingFault(request.headers)) return false
  const { host, port, path } = parsed.target
  const own = await ending?.ownPathsAt?.(sessionId, { host: hostText(host), port })
  if (!own?.takes(path)) return false
  await own.serve({ sessionId, request, response, path })
  return true
}

const RULES: ProxyRules = {
  ...{ judgeGreeting, upstreamHeaders, framingFault },
  ...{ pickCredential, isJudgedByHost },
}

export function createForwardProxy(deps: ForwardProxyDeps): ForwardProxy {
  const { trafficFor, usedBefore, onOpen, now = Date.now } = deps
  const ticks = () => performance.now()
  const traffic = createTraffic({ limitsFor: (id) => trafficFor?.(id), usedBefore, now, ticks })
  const open = createOpenExchanges({
    traffic,
    onMoved: (entry) => onOpen?.(describeEntry(entry, { allowed: true, reason: null }, now())),
  })
  const openExchange = createOpenExchange(deps, { open, traffic })
  const rules = { ...RULES, ...deps.rules }
  const serveEnded = createServeEnded(deps, openExchange)
  return {
    connect: async (call) => {
      if (!(await serveEnded(call))) await serveConnect(openExchange, call, rules)
    },
    request: async (call) => {
      if (!(await servePlainOwn(deps, call))) await serveRequest(openExchange, call, rules)
    },
    upgrade: (call) => serveUpgrade(openExchange, call),
    connections: open.count,
    recheck: open.recheck,
    forget: traffic.forget,
  }
}
