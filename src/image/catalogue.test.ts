import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { readConfig } from '../config.ts'
import { layoutOf } from '../installation/ground.ts'
import { exists } from '../sandbox/files.ts'
import { publishVersion } from '../sandbox/images/named-images.ts'
import { listImages, removeImage, removeUnused } from './catalogue.ts'

it.each([true, false])(
  'leaves a version that a sandbox is made of, also where its programs see the data elsewhere (root: %s)',
  async (isRoot) => {
    const top = await mkdtemp(join(tmpdir(), 'errand-catalogue-'))
    onTestFinished(() => rm(top, { recursive: true, force: true }))
    const dataDir = join(top, 'data')
    const config = { ...readConfig({ dataDir }), runtimeDir: join(top, 'run'), isRoot }
    for (const version of ['1', '2']) {
      const finished = join(dataDir, 'finished')
      await mkdir(join(finished, 'rootfs'), { recursive: true })
      await publishVersion(dataDir, 'mine', { finished, version })
    }
    const [first, second] = ['1', '2'].map((version) => join('images/named/mine', version)) as [
      string,
      string,
    ]
    const sandbox = join(dataDir, 'sandboxes', `s_${'a'.repeat(20)}`)
    await mkdir(sandbox, { recursive: true })
    const root = join(layoutOf(config).data, first, 'rootfs')
    const record = { uidBase: 65_536, layers: ['/somewhere/made', root], kept: [] }
    await writeFile(join(sandbox, 'sandbox.json'), JSON.stringify(record))
    const left = () => Promise.all([first, second].map((path) => exists(join(dataDir, path))))
    await removeUnused(config)
    expect(await left()).toEqual([true, true])
    expect(await removeImage(config, 'mine')).toBe(1)
    expect(await left()).toEqual([true, false])
    await rm(sandbox, { recursive: true })
    await removeUnused(config)
    expect(await left()).toEqual([false, false])
  },
)

it('lists an image whose manifest was cut off, and all others', async () => {
  const top = await mkdtemp(join(tmpdir(), 'errand-catalogue-'))
  onTestFinished(() => rm(top, { recursive: true, force: true }))
  const dataDir = join(top, 'data')
  const config = { ...readConfig({ dataDir }), codeDir: join(top, 'code') }
  const about = { version: '1', builtAt: '2026-01-01T00:00:00.000Z', suite: null }
  const whole = JSON.stringify({ ...about, name: 'whole', packages: [] })
  for (const [name, manifest] of [
    ['cut', ''],
    ['whole', whole],
  ] as const) {
    const finished = join(dataDir, 'finished')
    await mkdir(join(finished, 'rootfs'), { recursive: true })
    await writeFile(join(finished, 'manifest.json'), manifest)
    await publishVersion(dataDir, name, { finished, version: '1' })
  }
  expect(await listImages(config)).toMatchObject([
    { name: 'cut', version: '1', builtAt: null },
    { name: 'whole', version: '1', builtAt: about.builtAt },
  ])
})
