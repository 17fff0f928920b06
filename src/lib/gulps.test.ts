import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { PassThrough, Writable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { passInGulps } from './gulps.ts'

/** Takes its time for each piece, and says so. */
function slowSink() {
  const pieces: Buffer[] = []
  const sink = new Writable({
    highWaterMark: 1,
    write(chunk: Buffer, _encoding, done) {
      pieces.push(chunk)
      setImmediate(done)
    },
  })
  return { pieces, sink }
}

describe('passInGulps', () => {
  it('passes everything on in order, also to one that is slow, and leaves it open', async () => {
    const { pieces, sink } = slowSink()
    const from = new PassThrough()
    passInGulps(from, sink)
    const parts = Array.from({ length: 500 }, (_, index) => Buffer.alloc(1 + index * 100, index))
    for (const part of parts) from.write(part)
    from.end()
    await once(from, 'end')
    await new Promise<void>((resolve) => sink.end(resolve))
    expect(Buffer.concat(pieces).equals(Buffer.concat(parts))).toBe(true)
  })

  it('puts together what a program writes little by little', async () => {
    const script = 'i=0; while [ $i -lt 2000 ]; do echo line; i=$((i+1)); done'
    const child = spawn('sh', ['-c', script])
    const pieces: number[] = []
    const sink = new Writable({
      write(chunk: Buffer, _encoding, done) {
        pieces.push(chunk.length)
        done()
      },
    })
    passInGulps(child.stdout, sink)
    await once(child, 'close')
    expect(pieces.reduce((sum, length) => sum + length, 0)).toBe(2000 * 'line\n'.length)
    expect(pieces.length).toBeLessThan(1000)
  })

  it('reads to the end when nobody takes it any more', async () => {
    const { sink } = slowSink()
    const child = spawn('head', ['-c', '5000000', '/dev/zero'])
    passInGulps(child.stdout, sink)
    await once(child.stdout, 'data')
    sink.destroy()
    expect((await once(child, 'close'))[0]).toBe(0)
  })
})
