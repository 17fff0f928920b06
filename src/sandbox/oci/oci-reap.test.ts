import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { exists } from '../files.ts'
import { sandboxPaths } from './oci-paths.ts'
import { reap } from './oci-reap.ts'
import type { Rights } from './oci-rights.ts'

it('takes a sandbox away though its runtime does not answer', async () => {
  const top = await mkdtemp(join(tmpdir(), 'errand-reap-'))
  onTestFinished(() => rm(top, { recursive: true, force: true }))
  const runtime = join(top, 'hung-runtime')
  await writeFile(runtime, '#!/bin/sh\nexec sleep 1000\n')
  await chmod(runtime, 0o755)
  const folders = { dataDir: top, runtimeDir: join(top, 'run'), doorsDir: join(top, 'doors') }
  const paths = sandboxPaths(folders, `s_${'a'.repeat(20)}`)
  for (const path of [paths.kept, paths.bundle, paths.runtimeState])
    await mkdir(path, { recursive: true })
  await writeFile(join(paths.runtimeState, 'state.json'), '{}')
  const rights = {
    env: { PATH: '/usr/bin:/bin' },
    runtimeOptions: [],
    settle: async () => undefined,
  }
  const { runtimeDir } = folders
  const held = { paths, rights: rights as unknown as Rights, runtime, runtimeDir }
  await reap({ ...held, runtimeLimitMs: 200 })
  expect(await Promise.all([paths.runtimeState, paths.bundle].map(exists))).toEqual([false, false])
})
