// Opens the port and closes it with everything that is still streaming.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, createServer as createProbe, type Server, type Socket } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import type { Hono } from 'hono'
import { AppError } from '../protocol/errors.ts'
import type { ApiEnv } from './route.ts'
import { answerWebSocket, wantsWebSocket } from './streams/web-socket.ts'

/** For the head of a request; git's packs and live streams have no limit as a whole. */
const HEADERS_TIMEOUT_MS = 20_000

export interface Listening {
  port: number
  close(): Promise<void>
}

export async function listenHttp(
  app: Hono<ApiEnv>,
  { host, port }: { host: string; port: number },
): Promise<Listening> {
  const answer = getRequestListener(app.fetch)
  const server = createServer(
    {
      ...{ headersTimeout: HEADERS_TIMEOUT_MS, requestTimeout: 0 },
      shouldUpgradeCallback: wantsWebSocket,
    },
    (req, res) => {
      void answer(req, res)
    },
  )
  const sockets = new Set<Socket>()
  server.on('upgrade', (incoming, stream, head) => {
    const socket = stream as Socket
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    void answerWebSocket((request) => app.fetch(request), { incoming, socket, head })
  })
  await open(server, host, port)
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
        for (const socket of sockets) socket.destroy()
      }),
  }
}

/** The port, or for 0 one that is free; refuses as `listenHttp` would for this user. */
export async function probePort({ host, port }: { host: string; port: number }): Promise<number> {
  const probe = createProbe((connection) => connection.destroy())
  await open(probe, host, port)
  const found = (probe.address() as AddressInfo).port
  const closed = once(probe, 'close')
  probe.close()
  await closed
  return found
}

function open(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(toRefusal(error, host, port)))
    server.listen(port, host, resolve)
  })
}

function toRefusal(error: NodeJS.ErrnoException, host: string, port: number): Error {
  switch (error.code) {
    case 'EADDRINUSE':
      return new AppError(
        'conflict',
        'port_taken',
        `port ${port} of ${host} is taken by another program`,
      )
    case 'EACCES':
      return new AppError(
        'forbidden',
        'port_forbidden',
        `port ${port} may not be opened by this user`,
      )
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new AppError('invalid', 'address_invalid', `${host} is not an address of this machine`)
    default:
      return error
  }
}
