// Copies the objects of one repository into another by hard links: both stand alone afterwards, and no byte is written twice.
import { copyFile, link, mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'

const LOOSE_FOLDER = /^[0-9a-f]{2}$/
const LOOSE_OBJECT = /^[0-9a-f]{38}$/
/** The index comes last: git uses a pack as soon as it sees its index. */
const PACK_PARTS = ['.pack', '.rev', '.idx'] as const

/** Reads refs before, not after: what they name is then among the objects. Temporary files stay behind. */
export async function linkObjects(fromRepository: string, toRepository: string): Promise<void> {
  const from = join(fromRepository, 'objects')
  const to = join(toRepository, 'objects')
  for (const folder of await readdir(from)) {
    if (LOOSE_FOLDER.test(folder))
      await linkFiles(join(from, folder), join(to, folder), (name) => LOOSE_OBJECT.test(name))
  }
  for (const part of PACK_PARTS)
    await linkFiles(
      join(from, 'pack'),
      join(to, 'pack'),
      (name) => name.startsWith('pack-') && name.endsWith(part),
    )
}

async function linkFiles(
  from: string,
  to: string,
  wanted: (name: string) => boolean,
): Promise<void> {
  await mkdir(to, { recursive: true, mode: 0o700 })
  for (const name of await readdir(from))
    if (wanted(name)) await linkFile(join(from, name), join(to, name))
}

async function linkFile(from: string, to: string): Promise<void> {
  try {
    await link(from, to)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'EEXIST' || code === 'ENOENT') return
    if (code !== 'EXDEV' && code !== 'EMLINK' && code !== 'EPERM') throw error
    await copyFile(from, to)
  }
}
