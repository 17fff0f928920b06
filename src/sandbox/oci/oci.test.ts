// What a sandboxd does with the sandboxes that it finds when it starts.
import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { describeProcess, isAlive } from '../../lib/process-identity.ts'
import { cleanUp } from './oci.ts'
import type { Oci } from './oci-context.ts'
import { sandboxPaths } from './oci-paths.ts'

it('ends one that was started with another runtime folder, as before its data was moved, and leaves the others', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'errand-clean-'))
  onTestFinished(() => rm(dataDir, { recursive: true, force: true }))
  const config = { dataDir, runtimeDir: join(dataDir, 'run'), doorsDir: join(dataDir, 'doors') }
  const start = async (letter: string) => {
    const paths = sandboxPaths(config, `s_${letter.repeat(20)}`)
    const child = spawn('sleep', ['1000'])
    onTestFinished(() => void child.kill('SIGKILL'))
    const run = await describeProcess(child.pid ?? 0)
    await mkdir(paths.kept, { recursive: true })
    await writeFile(paths.record, '{}')
    const startedAt = new Date().toISOString()
    await writeFile(paths.lastRun, JSON.stringify({ ...run, startedAt }))
    return { paths, run }
  }
  const [moved, here] = [await start('a'), await start('b')]
  await mkdir(here.paths.bundle, { recursive: true })
  const oci = {
    config,
    rights: { settle: async () => undefined },
    images: { prune: async () => undefined },
  } as unknown as Oci
  const failures: unknown[] = []
  await cleanUp(oci, (_what, error) => failures.push(error))
  expect(failures).toEqual([])
  expect(await isAlive(moved.run)).toBe(false)
  expect(await isAlive(here.run)).toBe(true)
})
