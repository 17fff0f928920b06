// CONNECT to a host whose TLS is ended here: one that a credential is for, one with rules on methods and paths, or the host of
// the session's own repository. Every other host stays a tunnel.
import { randomUUID } from 'node:crypto'
import type { Duplex } from 'node:stream'
import {
  DEFAULT_LIMITS,
  describeEntry,
  type ForwardProxyDeps,
  type OpenExchange,
  type ProxyCall,
} from '../proxy/exchange.ts'
import { type ProxyTarget, parseConnectTarget } from '../proxy/proxy-target.ts'
import { answerOnSocket, deniedBecause } from '../proxy/refusal.ts'
import { decideHost, denialText, isJudgedByHost } from '../rules/decide.ts'
import { authorityText, hostText } from '../rules/hosts.ts'
import { createEndConnection, type EndConnection } from './ended-connection.ts'
import { createEndedReceiver } from './ended-requests.ts'

/** Resolves with false when the connection is to be a tunnel, or to be refused as one. */
export type ServeEnded = (call: ProxyCall & { socket: Duplex; head: Buffer }) => Promise<boolean>

export function createServeEnded(deps: ForwardProxyDeps, openExchange: OpenExchange): ServeEnded {
  const { ending, policyFor } = deps
  const limits = { ...DEFAULT_LIMITS, ...deps.limits }
  const isTunnel = deps.rules?.isJudgedByHost ?? isJudgedByHost
  const end =
    ending &&
    createEndConnection(ending.leafFor, createEndedReceiver({ ...ending, openExchange }), limits)
  return async (call) => {
    const { sessionId, request, socket } = call
    const parsed = parseConnectTarget(request.url ?? '')
    if ('reason' in parsed) return false
    const { target } = parsed
    const { host, port } = target
    // The client may go away while it is found out what is answered here.
    socket.on('error', () => socket.destroy())
    const own = await ending?.ownPathsAt?.(sessionId, { host: hostText(host), port })
    const isOwn = own !== undefined
    const rules = await policyFor(sessionId)
    const isAllowed = decideHost(rules, host, port).allow
    if (!isOwn && (!isAllowed || isTunnel(rules, host, port))) return false
    if (!socket.destroyed) await serve(deps, { end, target, isOwn }, call)
    return true
  }
}

async function serve(
  { onDecision, now = Date.now }: ForwardProxyDeps,
  { end, target, isOwn }: { end: EndConnection | undefined; target: ProxyTarget; isOwn: boolean },
  { sessionId, request, takeToken, socket, head }: Parameters<ServeEnded>[0],
): Promise<void> {
  const { host, port, text } = target
  const nowMs = now()
  const entry = { id: randomUUID(), sessionId, target, method: request.method ?? '' }
  const report = (reason: string) =>
    onDecision(
      describeEntry(
        { ...entry, startedMs: nowMs, cutReason: null, counted: 0 },
        { allowed: false, reason },
        now(),
      ),
    )
  if (!end) {
    report('tls_not_ended')
    return answerOnSocket(socket, deniedBecause('tls_not_ended', denialText(text, 'tls_not_ended')))
  }
  socket.write(
    `HTTP/1.1 200 Connection to ${authorityText(hostText(host), port)} established\r\n\r\n`,
  )
  if (head.length > 0) socket.unshift(head)
  const refused = await end(socket, { sessionId, host, port, text, isOwn, takeToken })
  if (refused) report(refused)
}
