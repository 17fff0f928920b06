// The network that scripts/own-network.sh made: where forbidden addresses are, and a stand-in that answers at each of them.
// Nothing of the suite runs anywhere else, so that no packet leaves the machine even with a control off.
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import type { Targets } from '../../src/attack/attack-case.ts'
import { placeholderOf } from '../../src/egress/rules/bound-credentials.ts'
import { BRANCH } from '../../src/git/room.fixture.ts'
import { exampleId } from '../../src/sessions/starting/new-session.fixture.ts'

export const FORBIDDEN: Targets['forbidden'] = {
  metadata: '169.254.169.254',
  metadata6: 'fd00:ec2::254',
  private10: '10.66.0.1',
  private192: '192.168.66.1',
}
/** Documentation addresses, which count as public. */
export const PUBLIC_ADDRESS = '203.0.113.66'
export const OTHER_PUBLIC_ADDRESS = '203.0.113.67'
/** Passes for an address of the machine that Errand runs on. */
export const OWN_ADDRESS = '203.0.113.68'

/** Names of the suite and what they resolve to, one answer for each question; the last one stays. */
export const HOSTS: Record<string, string[]> = {
  'allowed.example': [PUBLIC_ADDRESS],
  'denied.example': [OTHER_PUBLIC_ADDRESS],
  'c2vjcmv0.denied.example': [OTHER_PUBLIC_ADDRESS],
  'web.example': [PUBLIC_ADDRESS],
  'ruled.example': [PUBLIC_ADDRESS],
  'banned.example': [PUBLIC_ADDRESS],
  'rebinding.example': [PUBLIC_ADDRESS, FORBIDDEN.metadata],
  'metadata.example': [FORBIDDEN.metadata],
  'metadata6.example': [FORBIDDEN.metadata6],
  'mapped.example': [`::ffff:${FORBIDDEN.metadata}`],
  'ten.example': [FORBIDDEN.private10],
  'home.example': [FORBIDDEN.private192],
  'loopback.example': ['127.0.0.1'],
  'loopback6.example': ['::1'],
  'own.example': [OWN_ADDRESS],
}

const LISTED_NAMES = Object.keys(HOSTS).filter((name) => !/denied|web/.test(name))
const HARMLESS = ['allowed.example', 'rebinding.example', 'ruled.example', 'banned.example']

/** Its placeholder stands inside. */
export const API_CREDENTIAL = { id: `c_${'a'.repeat(20)}` }

const NOBODY = { cookie: '', bearer: '' }
const NO_API: Targets['api'] = {
  ...{ socket: '', host: '', origin: '', operations: [] },
  ...{ owner: NOBODY, member: NOBODY, again: { operations: [], owner: NOBODY } },
}

export type NamedTargets = ReturnType<typeof namedTargets>

export function namedTargets(port: number) {
  return {
    port,
    deniedHost: 'denied.example',
    allowedHost: 'allowed.example',
    webHost: 'web.example',
    rebindingHost: 'rebinding.example',
    listedButForbidden: [...LISTED_NAMES, ...listedAddresses()]
      .filter((name) => !HARMLESS.includes(name))
      .map((name) => `${name}:${port}`),
    branch: BRANCH,
    turn: exampleId('turn', 1),
    api: NO_API,
    otherFile: { oid: '', size: 0 },
    placeholder: placeholderOf(API_CREDENTIAL),
    connections: 10_000,
    slowMs: 5_000,
  }
}

/** The list of the session: what it may reach by name, whatever the names resolve to. */
export function listedDomains(port: number): string[] {
  return [
    ...[...LISTED_NAMES, ...listedAddresses()].map((name) => `${name}:${port}`),
    'web.example',
  ]
}

function listedAddresses(): string[] {
  return [FORBIDDEN.metadata, `[${FORBIDDEN.metadata6}]`, FORBIDDEN.private10]
}

export interface StandIn {
  port: number
  /** Request line, headers and body of each request, whatever address it was sent to. */
  requests: { at: string; line: string; headers: IncomingMessage['headers']; body: string }[]
  /** Called with each path that is asked for, before it is answered. */
  onRequest: (path: string) => void
  close(): Promise<void>
}

export function requireOwnNetwork(): void {
  const here = networkInterfaces()
  const isOwn = Object.keys(here).every((name) => name === 'lo')
  if (isOwn && here.lo?.some(({ address }) => address === FORBIDDEN.metadata)) return
  throw new Error(
    'The attack suite runs in a network of its own: ./errand test attack, or scripts/own-network.sh COMMAND',
  )
}

/** Answers HTTP, and swallows datagrams, at every address of this network. */
export async function startStandIn(): Promise<StandIn> {
  requireOwnNetwork()
  const requests: StandIn['requests'] = []
  const open = new Set<Socket>()
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    const line = `${request.method} ${request.url}`
    const at = (request.socket.localAddress ?? '').replace('::ffff:', '')
    standIn.onRequest(request.url ?? '')
    requests.push({ at, line, headers: request.headers, body })
    const { host, authorization = 'nothing' } = request.headers
    response.end(`stand-in at ${at} for ${host} with ${authorization}`)
  })
  server.on('connection', (socket) => {
    open.add(socket)
    socket.on('close', () => open.delete(socket))
  })
  server.listen(0, '::')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const datagrams = createSocket('udp6')
  datagrams.bind(port, '::')
  await once(datagrams, 'listening')
  const standIn: StandIn = {
    port,
    requests,
    onRequest: () => undefined,
    close: async () => {
      for (const socket of open) socket.destroy()
      datagrams.close()
      server.close()
      await once(server, 'close')
    },
  }
  return standIn
}
