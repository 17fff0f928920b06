import { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readGreeting } from './client-hello.ts'
import { judgeGreeting } from './proxy-connect.ts'

/** The bytes that node's own TLS client sends first. */
function clientHello(servername: string | undefined): Promise<Buffer> {
  return new Promise((resolve) => {
    const stream = new Duplex({
      read: () => undefined,
      write: (chunk: Buffer) => {
        resolve(chunk)
        stream.destroy()
      },
    })
    const socket = connectTls({ socket: stream, ...(servername ? { servername } : {}) })
    socket.on('error', () => undefined)
  })
}

/** The same handshake in TLS records of at most `size` bytes. */
function inRecords(hello: Buffer, size: number): Buffer {
  const parts: Buffer[] = []
  for (let at = 5; at < hello.length; at += size) {
    const content = hello.subarray(at, at + size)
    parts.push(Buffer.from([22, 3, 1, content.length >> 8, content.length & 255]), content)
  }
  return Buffer.concat(parts)
}

describe('readGreeting', () => {
  it('finds the server name of a real client', async () => {
    const hello = await clientHello('a.example')
    expect(readGreeting(hello)).toEqual({ kind: 'hello', serverName: 'a.example' })
    expect(readGreeting(Buffer.concat([hello, Buffer.from('more')]))).toEqual({
      kind: 'hello',
      serverName: 'a.example',
    })
  })

  it('says when there is none', async () => {
    expect(readGreeting(await clientHello(undefined))).toEqual({ kind: 'hello', serverName: null })
  })

  it('waits for the rest however it is cut, and joins records', async () => {
    const hello = await clientHello('a.example')
    for (let end = 0; end < hello.length; end++) {
      expect(readGreeting(hello.subarray(0, end)).kind, `${end}`).toBe('more')
    }
    for (const size of [1, 3, 7, 100]) {
      expect(readGreeting(inRecords(hello, size))).toEqual({
        kind: 'hello',
        serverName: 'a.example',
      })
    }
  })

  it('leaves other protocols alone', () => {
    expect(readGreeting(Buffer.from('SSH-2.0-x')).kind).toBe('not_tls')
    expect(readGreeting(Buffer.from('GET / HTTP/1.1')).kind).toBe('not_tls')
  })

  it('answers to any bytes and never throws', async () => {
    const hello = await clientHello('a.example')
    fc.assert(
      fc.property(fc.nat(hello.length - 1), fc.integer({ min: 0, max: 255 }), (at, byte) => {
        const broken = Buffer.from(hello)
        broken[at] = byte
        readGreeting(broken)
      }),
    )
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        readGreeting(Buffer.concat([Buffer.from([22, 3, 1]), bytes]))
      }),
    )
  })

  it('refuses records and lengths that no client sends', () => {
    expect(readGreeting(Buffer.from([22, 3, 1, 0, 0])).kind).toBe('malformed')
    expect(readGreeting(Buffer.from([22, 3, 1, 255, 255])).kind).toBe('malformed')
    expect(readGreeting(Buffer.from([22, 3, 1, 0, 4, 1, 255, 255, 255])).kind).toBe('malformed')
    expect(readGreeting(Buffer.from([22, 3, 1, 0, 4, 2, 0, 0, 0])).kind).toBe('malformed')
  })
})

describe('judgeGreeting', () => {
  const host = { kind: 'name', name: 'a.example' } as const
  it('wants the name that was asked for', () => {
    expect(judgeGreeting({ kind: 'hello', serverName: 'A.Example.' }, host)).toBeNull()
    expect(judgeGreeting({ kind: 'hello', serverName: 'b.example' }, host)).toBe('sni_mismatch')
    expect(judgeGreeting({ kind: 'hello', serverName: null }, host)).toBe('sni_missing')
    expect(judgeGreeting({ kind: 'malformed' }, host)).toBe('tls_malformed')
    expect(judgeGreeting({ kind: 'not_tls' }, host)).toBeNull()
  })

  it('lets a listed address go without one', () => {
    const address = { kind: 'address', address: '192.0.2.1' } as const
    expect(judgeGreeting({ kind: 'hello', serverName: null }, address)).toBeNull()
  })
})
