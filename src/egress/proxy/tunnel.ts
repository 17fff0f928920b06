// Joins two sockets into one tunnel: both directions with backpressure, each half closed on its own, ended when idle.
// Knows no policy; `checkGreeting` may look at the first bytes that the client sends and end the tunnel.

import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { type Greeting, readGreeting } from './client-hello.ts'

export interface Tunnel {
  client: Duplex
  upstream: Socket
  /** What the client sent together with its request. */
  head: Buffer
  idleMs: number
  /** Judges the TLS greeting; a reason ends the tunnel. Left out: nothing is looked at. */
  checkGreeting?: (greeting: Greeting) => string | null
}

/** TLS alert, fatal, unrecognized_name (RFC 6066): what a refused client can show. */
export const UNRECOGNIZED_NAME = Buffer.from([21, 3, 3, 0, 2, 2, 112])

/** Resolves when both sides are closed, with the reason when the tunnel was ended from here. */
export async function runTunnel(tunnel: Tunnel): Promise<string | null> {
  const { client, upstream, head, idleMs } = tunnel
  let reason: string | null = null
  const end = (why: string) => {
    reason ??= why
    client.destroy()
    upstream.destroy()
  }
  upstream.setTimeout(idleMs, () => end('idle'))
  const closed = Promise.all([closeOf(client, upstream), closeOf(upstream, client)])
  if (head.length > 0) client.unshift(head)
  upstream.pipe(client)
  const { checkGreeting } = tunnel
  const greeting = checkGreeting ? await greetingOf(client) : null
  const refused = greeting ? (checkGreeting?.(greeting) ?? null) : null
  if (refused) {
    upstream.unpipe(client)
    upstream.destroy()
    reason = refused
    client.end(UNRECOGNIZED_NAME)
    client.resume()
    const timer = setTimeout(() => client.destroy(), 1_000)
    await closed
    clearTimeout(timer)
    return reason
  }
  client.pipe(upstream)
  await closed
  return reason
}

/** Holds the client's first bytes back until they are known, then puts them back to be read again. Null: there are none. */
export function greetingOf(client: Duplex): Promise<Greeting | null> {
  return new Promise((resolve) => {
    let held: Buffer = Buffer.alloc(0)
    const settle = (greeting: Greeting | null) => {
      client.off('data', onData)
      client.off('end', onEnd)
      client.off('close', onClose)
      client.pause()
      if (!client.destroyed && held.length > 0) client.unshift(held)
      resolve(greeting)
    }
    const onData = (chunk: Buffer) => {
      held = Buffer.concat([held, chunk])
      const greeting = readGreeting(held)
      if (greeting.kind !== 'more') settle(greeting)
    }
    // A client that closes its half without a byte leaves the tunnel to the server; half a greeting goes nowhere.
    const onEnd = () => settle(held.length > 0 ? { kind: 'malformed' } : null)
    const onClose = () => settle(null)
    client.on('data', onData)
    client.on('end', onEnd)
    client.on('close', onClose)
  })
}

/** Resolves at 'close'. One side that breaks takes the other with it; one that ended properly lets it drain. */
function closeOf(side: Duplex, other: Duplex): Promise<void> {
  return new Promise((resolve) => {
    side.on('error', () => other.destroy())
    side.on('close', () => {
      if (!side.readableEnded || !side.writableFinished) other.destroy()
      resolve()
    })
    if (side.destroyed) {
      other.destroy()
      resolve()
    }
  })
}
