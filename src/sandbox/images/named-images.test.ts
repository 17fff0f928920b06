import { mkdir, mkdtemp, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  findNamed,
  listVersions,
  publishVersion,
  removeUnusedVersions,
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

const remove = (path: string) => rm(path, { recursive: true, force: true })
const clean = (...used: string[]) =>
  removeUnusedVersions(dataDir, { readUsed: async () => used, remove })
const left = async () => (await readdir(join(dataDir, 'images/named/mine'))).toSorted()

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
    await clean(first)
    const versions = await listVersions(dataDir)
    expect(versions.map(({ version, isCurrent }) => [version, isCurrent])).toEqual([
      ['1', false],
      ['2', true],
    ])
    await clean(second)
    expect(await left()).toEqual(['2', 'current'])
  })

  it('can be withdrawn; files that a sandbox is made of stay', async () => {
    const path = await publish('1')
    expect(await withdrawNamed(dataDir, 'mine')).toBe(true)
    expect(await withdrawNamed(dataDir, 'mine')).toBe(false)
    await expect(findNamed(dataDir, 'mine')).rejects.toMatchObject({ code: 'not_found' })
    await clean(path)
    expect(await left()).toEqual(['1'])
    await clean()
    expect(await left()).toEqual([])
  })

  it('keep a version that a sandbox was just being made of, or that was published just then', async () => {
    const first = await publish('1')
    await publish('2')
    const answers = [[], [first]]
    await removeUnusedVersions(dataDir, { readUsed: async () => answers.shift() ?? [], remove })
    expect(await left()).toEqual(['1', '2', 'current'])
    await withdrawNamed(dataDir, 'mine')
    const image = join(dataDir, 'images/named/mine')
    const readUsed = async () => {
      const isSecond = !(await left()).includes('1')
      if (isSecond) await symlink('1', join(image, 'current'))
      return []
    }
    await removeUnusedVersions(dataDir, { readUsed, remove })
    expect(await left()).toEqual(['1', 'current'])
    expect(await findNamed(dataDir, 'mine')).toBe(first)
  })

  it('get a version back that was on its way out when that was ended, and is used', async () => {
    const first = await publish('1')
    await publish('2')
    await rename(join(first, '..'), join(first, '..', '..', '1.gone'))
    await clean(first)
    expect(await left()).toEqual(['1', '2', 'current'])
    await rename(join(first, '..'), join(first, '..', '..', '1.gone'))
    await clean()
    expect(await left()).toEqual(['2', 'current'])
  })
})
