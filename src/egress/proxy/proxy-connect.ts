// CONNECT: a tunnel of bytes to one host and port.
// At the levels with a list the TLS server name must be the name that was asked for. A greeting without one is refused for
// names (every current client sends it; a server would fall back to whichever tenant is its default) and fine for addresses,
// for which TLS knows no server name. What is no TLS passes: it says no more than a plain request could.
import type { ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { authorityText, type Host, hostText, parseHost } from '../rules/hosts.ts'
import type { Greeting } from './client-hello.ts'
import { isRefusal, type OpenExchange, type ProxyCall, type ProxyRules } from './exchange.ts'
import { parseConnectTarget } from './proxy-target.ts'
import { answerOnSocket, badRequest } from './refusal.ts'
import { runTunnel } from './tunnel.ts'

export async function serveConnect(
  openExchange: OpenExchange,
  call: ProxyCall & { socket: Duplex; head: Buffer },
  judge: Pick<ProxyRules, 'judgeGreeting'>,
): Promise<void> {
  const { request, socket, head } = call
  socket.on('error', () => socket.destroy())
  const parsed = parseConnectTarget(request.url ?? '')
  if ('reason' in parsed) return answerOnSocket(socket, badRequest(parsed.reason, parsed.message))
  const { target } = parsed
  const exchange = await openExchange(call, target, closeSignal(socket))
  if (isRefusal(exchange)) return answerOnSocket(socket, exchange)
  const { rules, upstream, limits, finish } = exchange
  if (socket.destroyed) return finish('client_closed')
  const authority = authorityText(hostText(target.host), target.port)
  socket.write(`HTTP/1.1 200 Connection to ${authority} established\r\n\r\n`)
  let denied: string | null = null
  const checkGreeting = (greeting: Greeting) => {
    denied = judge.judgeGreeting(greeting, target.host)
    return denied
  }
  const reason = await runTunnel({
    client: socket,
    upstream,
    head,
    idleMs: limits.idleMs,
    ...(rules.level === 'full' ? {} : { checkGreeting }),
  })
  finish(reason, denied === null)
}

/** Null when the tunnel may go on. */
export function judgeGreeting(greeting: Greeting, host: Host): string | null {
  if (greeting.kind === 'malformed') return 'tls_malformed'
  if (greeting.kind !== 'hello' || host.kind !== 'name') return null
  if (greeting.serverName === null) return 'sni_missing'
  const named = parseHost(greeting.serverName)
  return named.kind === 'name' && named.name === host.name ? null : 'sni_mismatch'
}

/** Aborts when the client goes away, so that nothing is dialled for nobody. */
export function closeSignal(client: Duplex | ServerResponse): AbortSignal {
  const controller = new AbortController()
  if (client.destroyed) controller.abort(new Error('the client has gone'))
  else client.once('close', () => controller.abort(new Error('the client has gone')))
  return controller.signal
}
