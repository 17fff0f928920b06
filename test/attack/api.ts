// The server's app in the suite: on a socket in the folder of a sandbox's door, with all that its operations name, or on
// loopback for a browser.

import { once } from 'node:events'
import { chmod } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { getRequestListener } from '@hono/node-server'
import type { ApiTargets } from '../../src/attack/attack-case.ts'
import { HOST, ORIGIN, type TestApp } from '../../src/http/app.fixture.ts'
import {
  bodyOf,
  type EveryRoute,
  type Operation,
  OWNER_ONLY,
  type People,
  PUBLIC,
  pathOf,
} from '../../src/http/every-route.fixture.ts'

const SOCKET = 'api.sock'

export interface ServedApp {
  /** As a browser names it, where it listens on loopback. */
  host: string
  close(): Promise<void>
}

/** At a path, or at a port of loopback that is free. */
export async function serveApp(
  appAt: (host: string) => TestApp['app'],
  path?: string,
): Promise<ServedApp> {
  let answer: ReturnType<typeof getRequestListener> | undefined
  const server = createServer((request, response) => void answer?.(request, response))
  server.listen(path === undefined ? { host: '127.0.0.1', port: 0 } : { path })
  await once(server, 'listening')
  const address = server.address() as AddressInfo | string
  const host = typeof address === 'string' ? HOST : `127.0.0.1:${address.port}`
  answer = getRequestListener(appAt(host).fetch)
  if (path !== undefined) await chmod(path, 0o666)
  return {
    host,
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      await closed
    },
  }
}

/** In the folder of a session's door. */
export const serveApi = (folder: string, app: TestApp['app']): Promise<ServedApp> =>
  serveApp(() => app, join(folder, SOCKET))

export function apiTargets({ operations }: EveryRoute, people: People, again: People): ApiTargets {
  const sorted = operations.toSorted(byHarm)
  const { owner, second: member } = people
  return {
    ...{ socket: SOCKET, host: HOST, origin: ORIGIN, owner, member },
    operations: sorted.map((operation) => describe(operation, people)),
    again: {
      operations: sorted.map((operation) => describe(operation, again)),
      owner: again.owner,
    },
  }
}

function describe(operation: Operation, people: People): ApiTargets['operations'][number] {
  const { name, method, template } = operation
  const body = bodyOf(operation)
  return {
    ...{ way: name.replace(/[{}]/g, ''), method, path: pathOf(operation, people) },
    body: body === undefined ? '' : JSON.stringify(body),
    isPublic: PUBLIC.includes(name),
    isOwnerOnly: OWNER_ONLY.includes(name),
    isOfOwner: template.includes('{'),
  }
}

/** What takes away comes last, the whole after its parts, and the end of the browser's session after everything. */
function byHarm(one: Operation, other: Operation): number {
  const harm = ({ name, method, template }: Operation) => {
    if (name === 'POST /logout') return 1_000
    return method === 'DELETE' ? 500 - template.length : 0
  }
  return harm(one) - harm(other)
}
