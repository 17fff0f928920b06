import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { sandboxPaths } from './oci-paths.ts'
import { readRecord } from './oci-record.ts'

it('tells a record that was cut off from one of another form, and from none', async () => {
  const top = await mkdtemp(join(tmpdir(), 'errand-record-'))
  onTestFinished(() => rm(top, { recursive: true, force: true }))
  const folders = { dataDir: top, runtimeDir: join(top, 'run'), doorsDir: join(top, 'doors') }
  const paths = sandboxPaths(folders, `s_${'a'.repeat(20)}`)
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
