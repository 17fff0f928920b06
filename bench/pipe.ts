// What the runner does with a redirected port, for programs that cannot speak to a unix socket: every connection is piped
// to the session's door as it is.
import { once } from 'node:events'
import { type AddressInfo, createConnection, createServer } from 'node:net'
import { joinSockets } from '../src/runner/network/redirect.ts'

export interface DoorPipe {
  port: number
  close(): void
}

export async function openDoorPipe(socketPath: string): Promise<DoorPipe> {
  const server = createServer({ allowHalfOpen: true }, (client) => {
    joinSockets(client, createConnection({ path: socketPath, allowHalfOpen: true }))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { port: (server.address() as AddressInfo).port, close: () => server.close() }
}
