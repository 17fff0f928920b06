// What is made on disk for a sandbox, where the work on its image is another one's.
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { sandboxSpecSchema } from '../spec.ts'
import type { Oci } from './oci-context.ts'
import { createSandbox } from './oci-create.ts'
import { sandboxPaths } from './oci-paths.ts'
import { readRecord } from './oci-record.ts'

it('is not recorded as made of an image that was taken away meanwhile, and can be made of the next', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'errand-create-'))
  onTestFinished(() => rm(dataDir, { recursive: true, force: true }))
  const config = { dataDir, runtimeDir: join(dataDir, 'run'), doorsDir: join(dataDir, 'doors') }
  const images = ['1', '2'].map((version) => join(dataDir, 'images/named/mine', version, 'rootfs'))
  for (const path of [...images, join(dataDir, 'sandboxes')]) await mkdir(path, { recursive: true })
  let root = images[0] ?? ''
  const oci = {
    config,
    images: { prepare: async () => [root], ownedRanges: async () => [] },
    rights: {
      removeTree: (path: string) => rm(path, { recursive: true, force: true }),
      // While the disk is made somebody replaces the image.
      makeDisk: async () => rm(images[0] ?? '', { recursive: true, force: true }),
      allocate: async () => 65_536,
    },
    canShift: async () => true,
    serialize: <T>(_key: string, work: () => Promise<T>) => work(),
  } as unknown as Oci
  const id = `s_${'a'.repeat(20)}`
  const spec = sandboxSpecSchema.parse({
    ...{ sessionId: id, image: { kind: 'named', name: 'mine' }, layers: [], hostname: 'errand' },
    ...{ sessionFile: '{}', beforeRunner: '' },
    limits: { memoryBytes: 2 ** 30, cpus: 1, processes: 256, diskBytes: 2 ** 30 },
  })
  const paths = sandboxPaths(config, id)
  const create = () => createSandbox(oci, paths, spec, new AbortController().signal)
  const reason = { code: 'unavailable', reason: 'image_replaced' }
  await expect(create()).rejects.toMatchObject(reason)
  expect(await readRecord(paths)).toBeUndefined()
  root = images[1] ?? ''
  await create()
  expect(await readRecord(paths)).toMatchObject({ layers: [root] })
})
