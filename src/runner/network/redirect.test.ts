import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { DOOR_ADDRESS } from '../../protocol/network.ts'
import { createNames } from './names.ts'
import { type Redirect, startRedirect } from './redirect.ts'

let folder: string
let door: Server | undefined
let redirect: Redirect
let port: number
let destination: string
const names = createNames()

/** Listens as the gateway would; `serve` gets each connection. */
async function listen(serve: (socket: Socket) => void): Promise<void> {
  door = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => socket.destroy())
    serve(socket)
  })
  door.listen(join(folder, 'door.sock'))
  await once(door, 'listening')
}

async function start(asked: number, patienceMs = 5_000): Promise<void> {
  const probe = createServer().listen(0)
  await once(probe, 'listening')
  port = (probe.address() as { port: number }).port
  probe.close()
  await once(probe, 'close')
  redirect = await startRedirect({
    names,
    door: { socketPath: join(folder, 'door.sock'), patienceMs },
    ports: [{ asked, listen: port }],
    destinationOf: () => destination,
  })
}

/** All that comes back for `bytes`, or the code of the error. */
async function exchange(bytes: string): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  socket.end(bytes)
  let received = ''
  socket.on('data', (chunk) => {
    received += chunk
  })
  const failed = once(socket, 'error').then(([error]) => error.code as string)
  return Promise.race([failed, once(socket, 'end').then(() => received)])
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-redirect-'))
  door = undefined
})
afterEach(async () => {
  await redirect.close()
  door?.close()
  await rm(folder, { recursive: true })
})

describe('startRedirect', () => {
  it('pipes to the door as it is, with half-closing', async () => {
    destination = DOOR_ADDRESS
    await listen((socket) => socket.pipe(socket))
    await start(80)
    expect(await exchange('GET / as it is')).toBe('GET / as it is')
  })

  it('asks for a tunnel by name and carries on behind it', async () => {
    destination = names.addressOf('allowed.example')
    let head = ''
    await listen((socket) =>
      socket.once('data', (chunk) => {
        head = chunk.toString()
        socket.write('HTTP/1.1 200 Connection established\r\n\r\nhello ')
        socket.pipe(socket)
      }),
    )
    await start(443)
    expect(await exchange('client')).toBe('hello client')
    expect(head).toBe('CONNECT allowed.example:443 HTTP/1.1\r\nHost: allowed.example:443\r\n\r\n')
  })

  it('gives a web client the refusal, and resets others', async () => {
    destination = names.addressOf('denied.example')
    const denial =
      'HTTP/1.1 403 Forbidden\r\nX-Deny-Reason: host_not_allowed\r\nConnection: keep-alive\r\nContent-Length: 6\r\n\r\nreason'
    await listen((socket) => socket.once('data', () => socket.write(denial)))
    await start(80)
    const answer = await exchange('GET / HTTP/1.1\r\n\r\n')
    expect(answer).toContain('403 Forbidden\r\nX-Deny-Reason: host_not_allowed')
    expect(answer).toMatch(/Connection: close\r\n\r\nreason$/)
    await redirect.close()
    await start(443)
    expect(await exchange('client hello')).toBe('ECONNRESET')
  })

  it('refuses an address that stands for no name, without asking anybody', async () => {
    destination = '198.19.255.255'
    await listen(() => expect.unreachable())
    await start(80)
    expect(await exchange('x')).toBe('ECONNRESET')
  })

  it('waits for a gateway that is away', async () => {
    destination = DOOR_ADDRESS
    await start(80)
    const answer = exchange('late')
    await listen((socket) => socket.pipe(socket))
    expect(await answer).toBe('late')
  })

  it('gives up after its patience', async () => {
    destination = DOOR_ADDRESS
    await start(80, 0)
    expect(await exchange('x')).toBe('ECONNRESET')
  })

  it('carries much both ways without keeping it', async () => {
    destination = DOOR_ADDRESS
    await listen((socket) => socket.pipe(socket))
    await start(80)
    const bytes = 'x'.repeat(8 << 20)
    expect((await exchange(bytes)).length).toBe(bytes.length)
  })
})
