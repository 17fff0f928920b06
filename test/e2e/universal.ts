// The image universal for tests: built once by scripts/test.ts, for this definition, in a cache of its own.
import { mkdir, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { readDefinition, stepKeys } from '../../src/image/definition.ts'
import { findNamed, namedImagesFolder } from '../../src/sandbox/images/named-images.ts'

const CACHE = '/var/cache/errand-test'
const ROOT = join(import.meta.dirname, '../..')

/** The data folder that the image of this definition is built in. */
export async function universalDataDir(): Promise<string> {
  const keys = await stepKeys(await readDefinition(ROOT, 'universal'))
  return join(CACHE, (keys.at(-1) ?? '').slice(0, 16))
}

export async function hasUniversal(): Promise<boolean> {
  return findNamed(await universalDataDir(), 'universal').then(
    () => true,
    () => false,
  )
}

/** Makes it an image of the installation with this data folder. */
export async function linkUniversal(dataDir: string): Promise<void> {
  const built = await universalDataDir()
  await findNamed(built, 'universal')
  const images = namedImagesFolder(dataDir)
  await mkdir(images, { recursive: true, mode: 0o711 })
  await symlink(join(namedImagesFolder(built), 'universal'), join(images, 'universal'))
}
