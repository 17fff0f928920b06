import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  findNamed,
  listVersions,
  publishVersion,
  unusedVersions,
  withdrawNamed,
} from './named-images.ts'

let dataDir: string

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'errand-named-'))
})
afterEach(() => rm(dataDir, { recursive: true, force: true }))

async function publish(version: string): Promise<string> {
  const finished = join(dataDir, 'finished')
  await mkdir(join(finished, 'rootfs'), { recursive: true })
  await writeFile(join(finished, 'rootfs/version'), version)
  await publishVersion(dataDir, 'mine', { finished, version })
  return findNamed(dataDir, 'mine')
}

describe('named images', () => {
  it('are not there before they are published, and the error names the command', async () => {
    await expect(findNamed(dataDir, 'universal')).rejects.toMatchObject({
      reason: 'image_not_built',
      message: expect.stringContaining('errand image build universal'),
    })
  })

  it('give new sandboxes the newest version; the one before stays for those made of it', async () => {
    const first = await publish('1')
    const second = await publish('2')
    expect(second).not.toBe(first)
    expect(await unusedVersions(dataDir, [first])).toEqual([])
    expect(await unusedVersions(dataDir, [second])).toEqual([join(first, '..')])
    const versions = await listVersions(dataDir)
    expect(versions.map(({ version, isCurrent }) => [version, isCurrent])).toEqual([
      ['1', false],
      ['2', true],
    ])
  })

  it('can be withdrawn; files that a sandbox is made of stay', async () => {
    const path = await publish('1')
    expect(await withdrawNamed(dataDir, 'mine')).toBe(true)
    expect(await withdrawNamed(dataDir, 'mine')).toBe(false)
    await expect(findNamed(dataDir, 'mine')).rejects.toMatchObject({ code: 'not_found' })
    expect(await unusedVersions(dataDir, [path])).toEqual([])
    expect(await unusedVersions(dataDir, [])).toHaveLength(1)
  })
})
