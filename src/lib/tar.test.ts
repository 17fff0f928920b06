import { Readable } from 'node:stream'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readTar, TarError, writeTar } from './tar.ts'

const AT = new Date('2026-01-02T03:04:05Z')

async function collect(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const chunk of chunks) parts.push(chunk)
  return Buffer.concat(parts)
}

function archiveOf(files: [string, Buffer][]): Promise<Buffer> {
  const listed = files.map(([name, content]) => ({
    name,
    size: content.length,
    content: Readable.from([content]),
  }))
  return collect(writeTar(listed, AT))
}

async function readAll(archive: Buffer, step = 1000): Promise<[string, Buffer][]> {
  const files: [string, Buffer][] = []
  async function* cut() {
    for (let at = 0; at < archive.length; at += step) yield archive.subarray(at, at + step)
  }
  for await (const { name, content } of readTar(cut())) files.push([name, await collect(content)])
  return files
}

describe('tar', () => {
  it('gives back what was written, however the bytes are cut', async () => {
    const file = fc.tuple(
      fc.stringMatching(/^[a-z/.-]{1,100}$/),
      fc.uint8Array({ maxLength: 1500 }).map((bytes) => Buffer.from(bytes)),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(file, { maxLength: 5 }),
        fc.integer({ min: 1, max: 3000 }),
        async (files, step) => {
          expect(await readAll(await archiveOf(files), step)).toEqual(files)
        },
      ),
      { numRuns: 50 },
    )
  })

  it('says when the archive ends too early', async () => {
    const archive = await archiveOf([['a', Buffer.from('12345')]])
    for (const length of [100, 514, 700, 1024])
      await expect(readAll(archive.subarray(0, length))).rejects.toThrow(TarError)
  })

  it('refuses a damaged header and what is no plain file', async () => {
    const archive = await archiveOf([['a', Buffer.from('12345')]])
    const damaged = Buffer.from(archive)
    damaged[0] = 0x62
    await expect(readAll(damaged)).rejects.toThrow('damaged')
    const link = Buffer.from(archive)
    link[156] = 0x32
    link.write('0', 148 + 5)
    await expect(readAll(link)).rejects.toThrow(TarError)
  })

  it('refuses a content of another size', async () => {
    const file = { name: 'a', size: 3, content: Readable.from([Buffer.from('12345')]) }
    await expect(collect(writeTar([file], AT))).rejects.toThrow('5 bytes instead of 3')
  })
})
