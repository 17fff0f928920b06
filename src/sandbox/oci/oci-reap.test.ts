import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { exists } from '../files.ts'
import { type SandboxPaths, sandboxPaths } from './oci-paths.ts'
import { reap } from './oci-reap.ts'
import type { Rights } from './oci-rights.ts'

/** What is left of a sandbox, and what is to be told to take it away. */
async function leaveSandbox() {
  const top = await mkdtemp(join(tmpdir(), 'errand-reap-'))
  onTestFinished(() => rm(top, { recursive: true, force: true }))
  const folders = { dataDir: top, runtimeDir: join(top, 'run'), doorsDir: join(top, 'doors') }
  const paths = sandboxPaths(folders, `s_${'a'.repeat(20)}`)
  for (const path of [paths.kept, paths.bundle, paths.runtimeState])
    await mkdir(path, { recursive: true })
  const rights = {
    env: { PATH: '/usr/bin:/bin' },
    runtimeOptions: [],
    settle: async () => undefined,
  }
  const runtime = join(top, 'runtime')
  const { runtimeDir } = folders
  return { paths, rights: rights as unknown as Rights, runtime, runtimeDir }
}

async function isGone({ runtimeState, bundle }: SandboxPaths): Promise<boolean> {
  return !(await Promise.all([runtimeState, bundle].map(exists))).includes(true)
}

it('takes a sandbox away though its runtime does not answer', async () => {
  const left = await leaveSandbox()
  await writeFile(left.runtime, '#!/bin/sh\nexec sleep 1000\n')
  await chmod(left.runtime, 0o755)
  await writeFile(join(left.paths.runtimeState, 'state.json'), '{}')
  await reap({ ...left, runtimeLimitMs: 200 })
  expect(await isGone(left.paths)).toBe(true)
})

it('takes a sandbox away though the disk has no room for how it ended', async () => {
  const left = await leaveSandbox()
  const { paths } = left
  await writeFile(paths.exitFile, '0 1700000000 0\n')
  // Whatever is written here finds the disk full.
  await symlink('/dev/full', `${paths.lastExit}.new`)
  await reap(left)
  expect(await isGone(paths)).toBe(true)
  expect(await exists(paths.lastExit)).toBe(false)
})
