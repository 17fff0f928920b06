import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { openBuildFolder, removeLeftImports } from './lock.ts'

it('makes images that all users inside can read, however closed the files of who makes them are', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'errand-lock-'))
  onTestFinished(() => rm(dataDir, { recursive: true, force: true }))
  const before = process.umask(0o077)
  onTestFinished(() => void process.umask(before))
  const { folder, unlock } = await openBuildFolder(dataDir, 'own')
  onTestFinished(unlock)
  const path = join(folder, 'program')
  await writeFile(path, '', { mode: 0o777 })
  expect((await stat(path)).mode & 0o777).toBe(0o755)
})

it('leaves nothing of an import that was killed, and keeps what is under way or has a definition', async () => {
  const top = await mkdtemp(join(tmpdir(), 'errand-lock-'))
  onTestFinished(() => rm(top, { recursive: true, force: true }))
  const config = { dataDir: join(top, 'data'), codeDir: join(top, 'code') }
  await removeLeftImports(config)
  await mkdir(join(config.codeDir, 'images/universal'), { recursive: true })
  const open = async (name: string) => {
    const { folder, unlock } = await openBuildFolder(config.dataDir, name)
    await mkdir(join(folder, 'finished/rootfs/usr'), { recursive: true })
    return unlock
  }
  for (const name of ['killed', 'universal']) await (await open(name))()
  const unlock = await open('under-way')
  const left = async () => (await readdir(join(config.dataDir, 'images/building'))).toSorted()
  await removeLeftImports(config)
  expect(await left()).toEqual(['under-way', 'universal'])
  await unlock()
  await removeLeftImports(config)
  expect(await left()).toEqual(['universal'])
})
