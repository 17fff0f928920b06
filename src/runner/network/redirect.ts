// Takes the TCP connections that the sandbox's netfilter rules turn towards the runner and carries them to the gateway:
// those to the door as they are, those to a name's address as `CONNECT name:port`. It decides nothing: the gateway does.
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { connectPatiently, type PatientTarget } from '../../lib/patient-connect.ts'
import { DOOR_ADDRESS } from '../../protocol/network.ts'
import type { Names } from './names.ts'

const MAX_HEAD_BYTES = 16 << 10
const MAX_DENIAL_BYTES = 64 << 10
const DENIAL_READ_MS = 5_000
const HEAD_END = '\r\n\r\n'

export interface Redirect {
  close(): Promise<void>
}

export interface RedirectDeps {
  names: Names
  door: PatientTarget
  /** The port that the program inside asked for, and the one where its connections arrive. */
  ports: { asked: number; listen: number }[]
  /** Where a connection was going; the accepted socket keeps the address of the local range. */
  destinationOf?: (socket: Socket) => string | undefined
}

export async function startRedirect(deps: RedirectDeps): Promise<Redirect> {
  const ended = new AbortController()
  const open = new Set<Socket>()
  const servers = deps.ports.map(({ asked, listen }) => {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (client) => {
      open.add(client)
      client.once('close', () => open.delete(client))
      void carry(deps, client, asked, ended.signal)
    })
    server.listen(listen, '0.0.0.0')
    return server
  })
  await Promise.all(servers.map((server) => once(server, 'listening')))
  return {
    close: async () => {
      ended.abort()
      for (const socket of open) socket.destroy()
      await Promise.all(servers.map(closeServer))
    },
  }
}

async function carry(
  deps: RedirectDeps,
  client: Socket,
  port: number,
  ended: AbortSignal,
): Promise<void> {
  client.on('error', () => client.destroy())
  const address = (deps.destinationOf ?? ((socket) => socket.localAddress))(client)
  const name = address === undefined ? undefined : deps.names.nameOf(address)
  if (address === undefined || name === undefined) {
    client.resetAndDestroy()
    return
  }
  const gone = new AbortController()
  const onGone = () => gone.abort(new Error('the client has gone'))
  client.once('close', onGone)
  try {
    const upstream = await connectPatiently(deps.door, AbortSignal.any([ended, gone.signal]))
    upstream.on('error', () => client.destroy())
    if (address !== DOOR_ADDRESS) await openTunnel(upstream, client, { name, port })
    else joinSockets(client, upstream)
  } catch {
    // The gateway stayed away or hung up: the program inside sees a reset connection, as of a host that is down.
    client.resetAndDestroy()
  }
}

async function openTunnel(
  upstream: Socket,
  client: Socket,
  target: { name: string; port: number },
): Promise<void> {
  const authority = `${target.name}:${target.port}`
  upstream.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}${HEAD_END}`)
  const onGone = () => upstream.destroy()
  client.once('close', onGone)
  const { head, rest } = await readHead(upstream)
  client.off('close', onGone)
  if (/^HTTP\/1\.[01] 2\d\d\b/.test(head)) {
    if (rest.length > 0) upstream.unshift(rest)
    joinSockets(client, upstream)
  } else if (target.port === 80) {
    await passDenial(upstream, client, head, rest)
  } else {
    // Within TLS or another protocol a refusal cannot be worded.
    upstream.destroy()
    client.resetAndDestroy()
  }
}

/** Carries bytes both ways; the end of one direction leaves the other open. */
export function joinSockets(a: Socket, b: Socket): void {
  a.setNoDelay(true)
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    from.pipe(to)
    from.on('error', () => to.destroy())
    from.once('close', (hadError) => {
      if (hadError || !from.readableEnded) to.destroy()
    })
  }
  a.resume()
  b.resume()
}

function readHead(socket: Socket): Promise<{ head: string; rest: Buffer }> {
  return new Promise((resolve, reject) => {
    let held = Buffer.alloc(0)
    const settle = (result: () => void) => {
      socket.pause()
      socket.off('data', onData)
      socket.off('end', onEnd)
      socket.off('close', onEnd)
      result()
    }
    const onEnd = () => settle(() => reject(new Error('the gateway hung up')))
    const onData = (chunk: Buffer) => {
      held = Buffer.concat([held, chunk])
      const at = held.indexOf(HEAD_END)
      if (at !== -1) {
        const head = held.toString('latin1', 0, at)
        settle(() => resolve({ head, rest: held.subarray(at + HEAD_END.length) }))
      } else if (held.length > MAX_HEAD_BYTES) {
        settle(() => reject(new Error('the answer of the gateway has too large a head')))
      }
    }
    socket.on('data', onData)
    socket.once('end', onEnd)
    socket.once('close', onEnd)
  })
}

/** On port 80 the client speaks HTTP: it gets the gateway's refusal as the answer, so that a person reads the reason. */
async function passDenial(
  upstream: Socket,
  client: Socket,
  head: string,
  rest: Buffer,
): Promise<void> {
  const expected = Math.min(
    Number(/^content-length:\s*(\d+)\s*$/im.exec(head)?.[1] ?? MAX_DENIAL_BYTES),
    MAX_DENIAL_BYTES,
  )
  const body = await readUpTo(upstream, rest, expected)
  upstream.destroy()
  const lines = head
    .split('\r\n')
    .filter((line) => !/^(connection|keep-alive|transfer-encoding|content-length):/i.test(line))
  const fresh = [...lines, `Content-Length: ${body.length}`, 'Connection: close'].join('\r\n')
  // What the client still sends is read and dropped: closing with unread data would reset the answer away.
  client.resume()
  client.end(Buffer.concat([Buffer.from(fresh + HEAD_END, 'latin1'), body]))
  client.setTimeout(DENIAL_READ_MS, () => client.destroy())
}

function readUpTo(socket: Socket, first: Buffer, bytes: number): Promise<Buffer> {
  return new Promise((resolve) => {
    let held = first
    const finish = () => {
      clearTimeout(timer)
      socket.off('data', onData)
      resolve(held.subarray(0, bytes))
    }
    const timer = setTimeout(finish, DENIAL_READ_MS)
    const onData = (chunk: Buffer) => {
      held = Buffer.concat([held, chunk])
      if (held.length >= bytes) finish()
    }
    if (held.length >= bytes) return finish()
    socket.on('data', onData)
    socket.once('end', finish)
    socket.once('close', finish)
    socket.resume()
  })
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
  })
}
