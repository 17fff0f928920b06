// What sandboxd asks the machine once and remembers.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { createShiftProbe } from './oci-context.ts'

it('asks again whether a mount can show other owners when that could not be found out', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'errand-probe-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const runtimeDir = join(folder, 'run')
  // Nothing can be made in it, as on a full disk.
  await writeFile(runtimeDir, '')
  const canShift = createShiftProbe({ ownerShift: 'auto', runtimeDir })
  await expect(canShift(folder)).rejects.toThrow('ENOTDIR')
  await rm(runtimeDir)
  await mkdir(runtimeDir)
  expect([true, false]).toContain(await canShift(folder))
})
