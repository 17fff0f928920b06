// The only way out: checks host and port against the rules, resolves once, checks every address, and connects to one of the
// very addresses that were checked, so a name that answers differently later (rebinding) gains nothing.
import type { Socket } from 'node:net'
import { AppError } from '../../protocol/errors.ts'
import { isAddressAllowed } from '../rules/addresses.ts'
import { decideHost, denialText, isDenied } from '../rules/decide.ts'
import { authorityText, type Host, hostText, parseHost } from '../rules/hosts.ts'
import { type EgressRules, networksFor } from '../rules/policy.ts'
import type { Connect } from './connect.ts'
import type { Resolve } from './resolve.ts'

interface DialTarget {
  rules: EgressRules
  host: Host
  port: number
}

/**
 * Resolves with a connected socket, or rejects with an AppError: code `forbidden` for what the rules refuse (reasons of
 * decide.ts), `unavailable` (dns_failed, upstream_unreachable) or `timeout` (dns_timeout, upstream_timeout) for the rest.
 */
export type Dial = (target: DialTarget, signal: AbortSignal) => Promise<Socket>

export interface DialDeps {
  resolve: Resolve
  connect: Connect
  /** This host's own addresses, asked anew for each connection. Never reachable, whatever is listed. */
  ownAddresses: () => readonly string[]
  /** The two rules, handed in for tests that leave one out. */
  rules?: Partial<DialRules>
}

export interface DialRules {
  decideHost: typeof decideHost
  isAddressAllowed: typeof isAddressAllowed
}

const RULES: DialRules = { decideHost, isAddressAllowed }

export function createDial({ resolve, connect, ownAddresses, ...deps }: DialDeps): Dial {
  const judge = { ...RULES, ...deps.rules }
  return async ({ rules, host, port }, signal) => {
    const decision = judge.decideHost(rules, host, port)
    if (!decision.allow) throw denied(host, port, decision.reason)
    const name = hostText(host)
    const addresses = host.kind === 'address' ? [name] : await resolve(name, signal)
    const own = ownAddresses()
    const networks = networksFor(rules, name)
    const allowed = addresses.filter(
      (address) =>
        judge.isAddressAllowed(address, own, networks) &&
        !isDenied(rules, parseHost(address), port),
    )
    if (allowed.length === 0) throw denied(host, port, 'address_not_allowed')
    const socket = await connect(allowed, port, signal)
    // The peer may break the connection before anyone listens; whoever uses the socket sees its 'close'.
    socket.on('error', () => undefined)
    return socket
  }
}

function denied(host: Host, port: number, reason: string): AppError {
  const message = denialText(authorityText(hostText(host) || 'that host', port), reason)
  return new AppError('forbidden', reason, message.trimEnd())
}
