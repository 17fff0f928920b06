// The name server of a sandbox, over UDP and TCP: every name gets an address of the local range, nothing else has an answer.
// No query leaves the sandbox, so that names cannot carry anything out.
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { answerPacket, DNS_CODE, DNS_TYPE, type DnsAnswer, type DnsQuestion } from './dns-wire.ts'
import type { Names } from './names.ts'

const TTL_SECONDS = 60
const TCP_IDLE_MS = 10_000
const MAX_TCP_CONNECTIONS = 128
const HOST_NAME = /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_]([a-z0-9_-]{0,62}))*$/
const REVERSE = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.in-addr\.arpa$/

export interface DnsServer {
  port: number
  close(): Promise<void>
}

/** The rules: what is answered to a question. */
export function resolveName(names: Names, { name, type }: DnsQuestion): DnsAnswer {
  if (type === DNS_TYPE.PTR) return reverse(names, name)
  if (name === 'local' || name.endsWith('.local')) return { code: DNS_CODE.noName, records: [] }
  if (!HOST_NAME.test(name) || REVERSE.test(name)) return { code: DNS_CODE.noName, records: [] }
  if (type !== DNS_TYPE.A && type !== DNS_TYPE.ANY) return { code: DNS_CODE.ok, records: [] }
  const isLoopback = name === 'localhost' || name.endsWith('.localhost')
  const value = isLoopback ? '127.0.0.1' : names.addressOf(name)
  return { code: DNS_CODE.ok, records: [{ type: DNS_TYPE.A, value, ttlSeconds: TTL_SECONDS }] }
}

/** `address` must be the one that clients ask: the kernel would answer from another one for a wildcard. */
export async function startDns(names: Names, address: string, port: number): Promise<DnsServer> {
  const answer = (packet: Buffer) => answerPacket(packet, (asked) => resolveName(names, asked))

  const udp = createSocket('udp4')
  udp.on('message', (packet, from) => {
    const reply = answer(packet)
    // A client that has gone makes the send fail; nobody is left to tell.
    if (reply) udp.send(reply, from.port, from.address, () => undefined)
  })
  const listening = once(udp, 'listening')
  udp.bind(port, address)
  await listening

  const bound = udp.address().port
  const tcp = createServer((socket) => serveTcp(socket, answer))
  tcp.maxConnections = MAX_TCP_CONNECTIONS
  const accepting = once(tcp, 'listening')
  tcp.listen(bound, address)
  await accepting

  return {
    port: bound,
    close: async () => {
      const closed = Promise.all([once(udp, 'close'), once(tcp, 'close')])
      udp.close()
      tcp.close()
      await closed
    },
  }
}

function reverse(names: Names, name: string): DnsAnswer {
  const parts = REVERSE.exec(name)?.slice(1).reverse()
  const known = parts === undefined ? undefined : names.nameOf(parts.join('.'))
  if (known === undefined) return { code: DNS_CODE.noName, records: [] }
  return {
    code: DNS_CODE.ok,
    records: [{ type: DNS_TYPE.PTR, value: known, ttlSeconds: TTL_SECONDS }],
  }
}

function serveTcp(socket: Socket, answer: (packet: Buffer) => Buffer | undefined): void {
  let held = Buffer.alloc(0)
  socket.setTimeout(TCP_IDLE_MS, () => socket.destroy())
  socket.on('error', () => socket.destroy())
  socket.on('data', (chunk: Buffer) => {
    held = Buffer.concat([held, chunk])
    while (held.length >= 2 && held.length >= 2 + held.readUInt16BE(0)) {
      const end = 2 + held.readUInt16BE(0)
      const reply = answer(held.subarray(2, end))
      held = held.subarray(end)
      if (!reply) continue
      const length = Buffer.alloc(2)
      length.writeUInt16BE(reply.length, 0)
      socket.write(Buffer.concat([length, reply]))
    }
  })
}
