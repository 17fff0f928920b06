// The way out for git on the host: any public host, never a private, metadata or own address unless the owner listed it.
// A proxy on loopback inside gitd's own process; whoever is on this machine may use it, and gains nothing by it.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { networkInterfaces } from 'node:os'
import { createConnect } from './egress/dialling/connect.ts'
import { createDial, type Dial } from './egress/dialling/dial.ts'
import { createResolve } from './egress/dialling/resolve.ts'
import { createForwardProxy } from './egress/proxy/forward-proxy.ts'
import { type AllowedNetwork, compileRules } from './egress/rules/policy.ts'
import type { Logger } from './lib/logger.ts'

export interface GitEgress {
  proxyUrl: string
  close(): Promise<void>
}

export async function startGitEgress(
  allowedNetworks: AllowedNetwork[],
  logger: Logger,
): Promise<GitEgress> {
  const rules = compileRules(
    { level: 'full', domains: [], includeTrusted: false },
    { registries: [], allowedNetworks },
  )
  const proxy = createForwardProxy({
    policyFor: () => rules,
    dial: createHostDial(),
    onDecision: ({ allowed, host, port, reason }) => {
      if (!allowed) logger.warn({ host, port, reason }, 'git was refused a host')
    },
  })
  const sessionId = 'git'
  // The body of a push may take its time; the proxy ends what stands still.
  const server = createServer(
    { requestTimeout: 0 },
    (request, response) => void proxy.request({ sessionId, request, response }),
  )
  server.on(
    'connect',
    (request, socket, head) => void proxy.connect({ sessionId, request, socket, head }),
  )
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => resolve())
  })
  return {
    proxyUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** Dials from this host; its own addresses are asked for anew each time. */
export function createHostDial(): Dial {
  return createDial({ resolve: createResolve(), connect: createConnect(), ownAddresses })
}

function ownAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((addresses) =>
    (addresses ?? []).map(({ address }) => address),
  )
}
