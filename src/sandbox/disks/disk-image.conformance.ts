import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { runChecked } from '../../lib/process.ts'
import { createDiskMaker, repairDisk } from './disk-image.ts'

const MIB = 1 << 20
let folder = ''
const at = (name: string) => join(folder, name)

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-disk-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
})

describe('createDiskMaker', () => {
  it('makes further disks of a size as the first, and each size by itself', async () => {
    const makeDisk = createDiskMaker()
    const sizes = [64, 64, 128, 64].map((size) => size * MIB)
    for (const [index, bytes] of sizes.entries()) await makeDisk(at(`disk-${index}`), bytes)
    for (const [index, bytes] of sizes.entries()) {
      const path = at(`disk-${index}`)
      expect((await stat(path)).size).toBe(bytes)
      expect((await stat(path)).mode & 0o777).toBe(0o600)
      await runChecked('e2fsck', ['-f', '-n', path])
      await repairDisk(path, AbortSignal.timeout(60_000))
    }
    expect((await readFile(at('disk-3'))).equals(await readFile(at('disk-0')))).toBe(true)
  })

  it('leaves no disk when it is aborted', async () => {
    const makeDisk = createDiskMaker()
    await makeDisk(at('first'), 64 * MIB)
    const aborted = AbortSignal.abort(new Error('no longer wanted'))
    await expect(makeDisk(at('second'), 64 * MIB, aborted)).rejects.toThrow('no longer wanted')
    await expect(stat(at('second'))).rejects.toThrow('ENOENT')
  })
})
