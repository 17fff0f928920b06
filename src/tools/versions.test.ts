import { chmod, mkdir, mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { KnownTool } from './known-tools.ts'
import { findVersions, parseVersion } from './versions.ts'

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-versions-'))
  await mkdir(join(folder, 'bin'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

/** A tool that notes that it was run. */
async function write(name: string, version: string, path = 'bin'): Promise<string> {
  const file = join(folder, path, name)
  await mkdir(join(folder, path), { recursive: true })
  await writeFile(
    file,
    `#!/bin/sh\necho ${name} >>${folder}/runs\necho "${name} version ${version} (x)"\n`,
  )
  await chmod(file, 0o755)
  return file
}

const runs = async () =>
  (await readFile(join(folder, 'runs'), 'utf8').catch(() => '')).split('\n').length - 1
const tool = (name: string, more: Partial<KnownTool> = {}): KnownTool => ({
  group: 'utilities',
  name,
  ...more,
})
const find = (...tools: KnownTool[]) =>
  findVersions(tools, {
    path: join(folder, 'bin'),
    env: { PATH: '/usr/bin:/bin' },
    cacheFile: join(folder, 'cache/kept.json'),
  })

describe('versions of tools', () => {
  it('come from running them once, and again only when they change', async () => {
    const path = await write('one', '1.2.3')
    expect(await find(tool('one'))).toEqual([{ version: '1.2.3', path }])
    expect(await find(tool('one'))).toEqual([{ version: '1.2.3', path }])
    expect(await runs()).toBe(1)
    await write('one', '1.3.0')
    expect(await find(tool('one'))).toEqual([{ version: '1.3.0', path }])
    expect(await runs()).toBe(2)
    await utimes(path, 1, 1)
    await find(tool('one'))
    expect(await runs()).toBe(3)
  })

  it('are gone at once with the tool', async () => {
    const path = await write('one', '1.2.3')
    await find(tool('one'))
    await rm(path)
    expect(await find(tool('one'))).toEqual([undefined])
  })

  it('are of the first program that is there, and of the newest folder of versions', async () => {
    const second = await write('second', '2.0.0')
    await write('postgres', '9.6', 'versions/9/bin')
    const newest = await write('postgres', '17.1', 'versions/17/bin')
    const found = await find(
      tool('x', { programs: ['first', 'second'] }),
      tool('database', { programs: ['postgres', join(folder, 'versions')] }),
    )
    expect(found).toEqual([
      { version: '2.0.0', path: second },
      { version: '17.1', path: newest },
    ])
  })

  it('are not known of a tool that fails; a damaged record is made anew', async () => {
    const path = join(folder, 'bin/broken')
    await writeFile(path, '#!/bin/sh\nexit 3\n', { mode: 0o755 })
    expect(await find(tool('broken'))).toEqual([{ version: null, path }])
    await writeFile(join(folder, 'cache/kept.json'), '{"half')
    await write('one', '1.0.0')
    expect((await find(tool('one')))[0]?.version).toBe('1.0.0')
  })

  it.each([
    ['Python 3.13.5', '3.13.5'],
    ['go version go1.27.4 linux/amd64', '1.27.4'],
    ['openjdk version "21.0.13.1" 2026-11-17', '21.0.13.1'],
    ['gcc (Debian 14.2.0-19) 14.2.0', '14.2.0-19'],
    ['tmux 3.5a', '3.5'],
    ['no version here', null],
  ])('are read out of %j', (text, version) => {
    expect(parseVersion(text)).toBe(version)
  })
})
