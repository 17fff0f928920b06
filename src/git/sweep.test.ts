import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { createSilentLogger } from '../lib/logger.ts'
import { createPaths, makeFolders } from './paths.ts'
import { sweep } from './sweep.ts'

it('passes over an upload and a session that are damaged, and takes away what nobody needs', async () => {
  const root = await mkdtemp(join(tmpdir(), 'errand-sweep-'))
  onTestFinished(() => rm(root, { recursive: true, force: true }))
  const paths = createPaths(root)
  await makeFolders(paths)
  const made = (name: string) => mkdir(join(root, name), { recursive: true })
  await made('uploads/u_a.git')
  await writeFile(join(root, 'uploads/u_a.git/errand.json'), '{')
  await made('uploads/u_b.git')
  const expired = { uploadId: 'u_b', ownerId: 'ann', expiresAtMs: 1 }
  await writeFile(join(root, 'uploads/u_b.git/errand.json'), JSON.stringify(expired))
  await made('sessions/s_a.git')
  await made('sessions/s_b.git/objects/info')
  const borrowed = join(root, 'mirrors/used.git/objects')
  await writeFile(join(root, 'sessions/s_b.git/objects/info/alternates'), `${borrowed}\n`)
  for (const name of ['mirrors/used.git', 'mirrors/idle.git']) {
    await made(name)
    await utimes(join(root, name), 0, 0)
  }
  const remove = (directory: string) => rm(directory, { recursive: true })
  await sweep({ paths, nowMs: Date.now, log: createSilentLogger(), remove })
  expect(await readdir(paths.uploads)).toEqual(['u_a.git'])
  expect(await readdir(paths.mirrors)).toEqual(['used.git'])
})
