import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { openBuildFolder } from './lock.ts'

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
