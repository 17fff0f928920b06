import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { refuseForeignFolder, unfitFolder } from './data-folder.ts'

it('tells apart what is foreign, what is no folder and what is closed', async () => {
  const at = await mkdtemp(join(tmpdir(), 'errand-data-folder-'))
  try {
    await writeFile(join(at, 'file'), '')
    await mkdir(join(at, 'own/log'), { recursive: true })
    await refuseForeignFolder(join(at, 'own'))
    await refuseForeignFolder(join(at, 'not/there'))
    await expect(refuseForeignFolder(at)).rejects.toMatchObject({ reason: 'data_folder_foreign' })
    for (const path of ['file', 'file/below'])
      await expect(refuseForeignFolder(join(at, path))).rejects.toMatchObject({
        code: 'invalid',
        reason: 'data_folder_unfit',
      })
  } finally {
    await rm(at, { recursive: true, force: true })
  }
  const failed = (code: string) => Object.assign(new Error(code), { code })
  expect(unfitFolder(failed('EROFS'), '/data')).toMatchObject({
    ...{ code: 'forbidden', reason: 'data_folder_closed' },
    message: expect.stringContaining('/data'),
  })
  const full = failed('ENOSPC')
  expect(unfitFolder(full, '/data')).toBe(full)
})
