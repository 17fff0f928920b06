import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { sandboxPaths } from './oci-paths.ts'
import { readClaims, readRecord } from './oci-record.ts'

async function openPlace() {
  const dataDir = await mkdtemp(join(tmpdir(), 'errand-record-'))
  onTestFinished(() => rm(dataDir, { recursive: true, force: true }))
  const folders = { dataDir, runtimeDir: join(dataDir, 'run'), doorsDir: join(dataDir, 'doors') }
  const paths = sandboxPaths(folders, `s_${'a'.repeat(20)}`)
  return { dataDir, paths }
}

it('tells a record that was cut off from one of another form, and from none', async () => {
  const { paths } = await openPlace()
  expect(await readRecord(paths)).toBeUndefined()
  await mkdir(paths.kept, { recursive: true })
  for (const [text, reason] of [
    ['', 'record_damaged'],
    ['{"spec":', 'record_damaged'],
    ['{"form":2}', 'record_unreadable'],
  ] as const) {
    await writeFile(paths.record, text)
    await expect(readRecord(paths)).rejects.toMatchObject({ reason })
  }
})

it('finds what a sandbox is made from after the data folder was moved', async () => {
  const { dataDir, paths } = await openPlace()
  const own = [
    `sandboxes/${paths.sessionId}/made-layer`,
    'images/layers/host-0123',
    'images/named/images/1/rootfs',
  ]
  const elsewhere = join(dataDir, 'own/images/named/mine/1/rootfs')
  for (const path of [...own.map((name) => join(dataDir, name)), elsewhere])
    await mkdir(path, { recursive: true })
  const gone = '/nowhere/images/layers/host-4567'
  const before = own.map((name) => join('/run/errand/before/data', name))
  const limits = { memoryBytes: 2 ** 30, cpus: 1, processes: 64, diskBytes: 2 ** 30 }
  const spec = {
    ...{ sessionId: paths.sessionId, image: { kind: 'host' }, layers: [], limits },
    ...{ sessionFile: '', beforeRunner: '', hostname: 'errand-aaaaaa' },
  }
  const layers = [...before, elsewhere, gone]
  const record = { spec, uidBase: 65_536, layers, kept: [], shifted: false }
  await writeFile(paths.record, JSON.stringify(record))
  const found = [...own.map((name) => join(dataDir, name)), elsewhere, gone]
  expect((await readRecord(paths))?.layers).toEqual(found)
  expect((await readClaims(paths))?.layers).toEqual(found)
})
