// The door's answer to a tool inside that wants to know what its session may reach. Says nothing about other sessions, opens
// no connection and resolves no name, so that asking is no way out.
import type { DoorRoute } from '../door/call-route.ts'
import { decideHost } from '../egress/rules/decide.ts'
import { parseAuthority } from '../egress/rules/hosts.ts'
import { MOST_REACH_QUESTIONS, type ReachAnswer } from '../protocol/reach.ts'
import type { KnownSession } from './sessions.ts'

const HTTPS_PORT = 443

export function createReachRoute(
  sessionOf: (sessionId: string) => KnownSession | undefined,
): DoorRoute {
  return ({ sessionId, response, path }) => {
    const asked = new URL(path, 'http://door').searchParams.getAll('at')
    const answer = answerReach(sessionOf(sessionId), asked.slice(0, MOST_REACH_QUESTIONS))
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer))
  }
}

export function answerReach(session: KnownSession | undefined, asked: string[]): ReachAnswer {
  // A sandbox that waits for its session may reach nothing yet.
  if (!session) {
    const reach = Object.fromEntries(asked.map((text) => [text, 'level_none']))
    return { level: 'none', registries: [], reach }
  }
  const { rules, registries } = session
  const known = registries.map(
    ({ host, port }) => `${host.includes(':') ? `[${host}]` : host}:${port}`,
  )
  const decide = (text: string) => {
    const authority = parseAuthority(text)
    if (!authority) return 'invalid_host'
    const decision = decideHost(rules, authority.host, authority.port ?? HTTPS_PORT)
    return decision.allow ? null : decision.reason
  }
  return {
    level: rules.level,
    registries,
    reach: Object.fromEntries([...known, ...asked].map((text) => [text, decide(text)])),
  }
}
