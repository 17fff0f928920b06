import { mkdir, mkdtemp, readdir, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { createSilentLogger } from '../lib/logger.ts'
import { createPaths, makeFolders } from './paths.ts'
import { clearLeftovers, sweep } from './sweep.ts'

async function createFolders() {
  const root = await mkdtemp(join(tmpdir(), 'errand-sweep-'))
  onTestFinished(() => rm(root, { recursive: true, force: true }))
  const paths = createPaths(root)
  await makeFolders(paths)
  const made = (name: string) => mkdir(join(root, name), { recursive: true })
  const madeLongAgo = async (name: string) => {
    await made(name)
    await utimes(join(root, name), 0, 0)
  }
  return { root, paths, made, madeLongAgo, nowMs: Date.now, log: createSilentLogger() }
}

it('passes over an upload and a session that are damaged, and takes away what nobody needs', async () => {
  const { root, paths, made, madeLongAgo, ...around } = await createFolders()
  await made('uploads/u_a.git')
  await writeFile(join(root, 'uploads/u_a.git/errand.json'), '{')
  await made('uploads/u_b.git')
  const expired = { uploadId: 'u_b', ownerId: 'ann', expiresAtMs: 1 }
  await writeFile(join(root, 'uploads/u_b.git/errand.json'), JSON.stringify(expired))
  await made('sessions/s_a.git')
  await made('sessions/s_b.git/objects/info')
  const borrowed = join(root, 'mirrors/used.git/objects')
  await writeFile(join(root, 'sessions/s_b.git/objects/info/alternates'), `${borrowed}\n`)
  for (const name of ['mirrors/used.git', 'mirrors/idle.git']) await madeLongAgo(name)
  const remove = (directory: string) => rm(directory, { recursive: true })
  await sweep({ paths, ...around, remove })
  expect(await readdir(paths.uploads)).toEqual(['u_a.git'])
  expect(await readdir(paths.mirrors)).toEqual(['used.git'])
})

it('clears what is left in the others where one repository cannot be read, so that gitd starts', async () => {
  const { root, paths, made, log, nowMs } = await createFolders()
  for (const name of ['mirrors/a.git', 'sessions/a.git', 'sessions/b.git']) await made(name)
  for (const name of ['mirrors/a.git', 'sessions/a.git'])
    await symlink('refs', join(root, name, 'refs'))
  await writeFile(join(root, 'sessions/b.git/packed-refs.lock'), '')
  await clearLeftovers(paths, { log, nowMs })
  expect(await readdir(join(root, 'sessions/b.git'))).toEqual([])
})

it('passes over mirrors that cannot be read or taken away, in whatever order they come', async () => {
  const { root, paths, madeLongAgo, ...around } = await createFolders()
  for (const name of ['b.git', 'c.git', 'd.git']) await madeLongAgo(`mirrors/${name}`)
  for (const name of ['a.git', 'e.git']) await symlink('nowhere', join(root, 'mirrors', name))
  const remove = async (directory: string) => {
    if (directory.endsWith('c.git')) throw new Error('it cannot be moved')
    await rm(directory, { recursive: true })
  }
  await sweep({ paths, ...around, remove })
  expect((await readdir(paths.mirrors)).sort()).toEqual(['a.git', 'c.git', 'e.git'])
})
