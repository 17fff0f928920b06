// Layers whose record is not whole, as after a failure of power: a record that was just renamed may be empty then.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { exists } from '../files.ts'
import type { Oci } from '../oci/oci-context.ts'
import { layerPaths, sandboxPaths } from '../oci/oci-paths.ts'
import { findLayers, listLayers, rangesOfLayers, removeUnfinished } from './kept-layers.ts'

const [WHOLE, DAMAGED, USED] = ['a', 'b', 'c'].map((letter) => `l_${letter.repeat(20)}`) as [
  string,
  string,
  string,
]

async function openDamaged() {
  const top = await mkdtemp(join(tmpdir(), 'errand-layers-'))
  onTestFinished(() => rm(top, { recursive: true, force: true }))
  const config = { dataDir: top, runtimeDir: join(top, 'run'), doorsDir: join(top, 'doors') }
  const removeTree = (path: string) => rm(path, { recursive: true, force: true })
  for (const [layerId, text] of [
    [WHOLE, '{"uidBase":65536,"bytes":1}'],
    [DAMAGED, ''],
    [USED, '{"uidBase":'],
  ] as const) {
    const { folder, record, disk } = layerPaths(config, layerId)
    await mkdir(folder, { recursive: true })
    for (const path of [record, disk]) await writeFile(path, path === record ? text : 'files')
  }
  const user = sandboxPaths(config, `s_${'a'.repeat(20)}`)
  await mkdir(user.kept, { recursive: true })
  const kept = [{ layerId: USED, uidBase: 131072 }]
  await writeFile(user.record, JSON.stringify({ uidBase: 131072, layers: [], kept }))
  return { oci: { config, rights: { removeTree } } as unknown as Oci, config }
}

it('stops nothing when the record of one is damaged: it is a layer no more, and others are there', async () => {
  const { oci } = await openDamaged()
  expect(await listLayers(oci)).toEqual([{ layerId: WHOLE, bytes: 1 }])
  expect(await rangesOfLayers(oci)).toHaveLength(1)
  expect(await findLayers(oci, [WHOLE])).toHaveLength(1)
  await expect(findLayers(oci, [DAMAGED])).rejects.toMatchObject({ reason: 'layer_missing' })
})

it('takes the damaged away, but not the files that a sandbox starts from', async () => {
  const { oci, config } = await openDamaged()
  await removeUnfinished(oci)
  const left = [WHOLE, DAMAGED, USED].map((layerId) => exists(layerPaths(config, layerId).disk))
  expect(await Promise.all(left)).toEqual([true, false, true])
})
