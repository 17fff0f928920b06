// Files of a commit as data, asked of the real gitd.
import { mkdir, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createScene, newSessionId, type Scene } from '../room.fixture.ts'

let scene: Scene

beforeEach(async () => {
  scene = await createScene()
})
afterEach(() => scene.close())

/** Pushes a commit upstream and prepares a session on it. */
async function prepareWith(files: Record<string, string | Buffer>, links: [string, string][] = []) {
  const { workbench, root } = scene.room
  const folder = join(root, `work-${newSessionId()}`)
  await workbench.git(root, ['clone', '--quiet', scene.upstream.directory, folder])
  await mkdir(join(folder, 'deep/er'), { recursive: true })
  for (const [path, target] of links) await symlink(target, join(folder, path))
  await workbench.commit(folder, files)
  await workbench.git(folder, ['push', '--quiet', 'origin', 'HEAD:main'])
  return scene.prepare()
}

it('reads regular files of the commit and leaves out everything else', async () => {
  const bytes = Buffer.from([0, 255, 10, 13])
  const { sessionId, commit } = await prepareWith(
    { 'deep/er/package-lock.json': '{}', '*.txt': 'star', 'a.txt': 'a', 'b.bin': bytes },
    [['link.lock', '/etc/passwd']],
  )
  const paths = ['deep/er/package-lock.json', 'b.bin', 'link.lock', 'deep', '*.txt', 'missing']
  const { files } = await scene.room.client.files({ sessionId, commit, paths })
  expect(files.map(({ path }) => path)).toEqual(['*.txt', 'b.bin', 'deep/er/package-lock.json'])
  expect(Buffer.from(files[1]?.data ?? '', 'base64')).toEqual(bytes)
})

it('refuses paths that leave the repository, unknown commits and what is too large', async () => {
  const { sessionId, commit } = await prepareWith({ big: Buffer.alloc((16 << 20) + 1) })
  const { client } = scene.room
  const ask = (paths: string[], at = commit) => client.files({ sessionId, commit: at, paths })
  for (const path of ['../x', '/etc/passwd', 'a/../../b', 'a/'])
    await expect(ask([path])).rejects.toMatchObject({ reason: 'request_invalid' })
  await expect(ask(['big'])).rejects.toMatchObject({ reason: 'files_too_large' })
  await expect(ask(['x'], 'f'.repeat(40))).rejects.toMatchObject({ code: 'not_found' })
  const unknown = client.files({ sessionId: newSessionId(), commit, paths: ['x'] })
  await expect(unknown).rejects.toMatchObject({ reason: 'session_not_found' })
})
