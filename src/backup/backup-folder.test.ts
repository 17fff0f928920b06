import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { openBackupFolder } from './backup-folder.ts'

it('leaves nothing of a backup that was killed, with the key in it, and all of one that is under way', async () => {
  const parent = await mkdtemp(join(tmpdir(), 'errand-backups-'))
  onTestFinished(() => rm(parent, { recursive: true, force: true }))
  const module = join(import.meta.dirname, 'backup-folder.ts')
  const program = `
    const { openBackupFolder } = await import(${JSON.stringify(module)})
    await openBackupFolder(${JSON.stringify(join(parent, 'first.backup'))})
    console.log('begun')
    setInterval(() => undefined, 1000)`
  const killed = spawn(process.execPath, ['--input-type=module', '-e', program])
  onTestFinished(() => void killed.kill('SIGKILL'))
  await once(killed.stdout, 'data')
  const [left = ''] = await readdir(parent)
  await mkdir(join(parent, left, 'keys'))
  await writeFile(join(parent, left, 'keys/sealing.key'), 'secret')
  await symlink(parent, join(parent, '.errand-backup-link'))

  const second = await openBackupFolder(join(parent, 'second.backup'))
  expect(await readdir(parent)).toContain(left)
  killed.kill('SIGKILL')
  await once(killed, 'exit')
  // The kernel lets go of its lock a little later.
  await expect
    .poll(async () => {
      await (await openBackupFolder(join(parent, 'third.backup'))).remove()
      return (await readdir(parent)).includes(left)
    })
    .toBe(false)
  const rest = ['.errand-backup-link', second.folder.slice(parent.length + 1)]
  expect((await readdir(parent)).toSorted()).toEqual(rest.toSorted())
  await second.remove()
})
