// Images that have a name: `images/named/<name>/<version>/rootfs` below the data folder, with a link `current` to the version
// that new sandboxes get. A version is never changed; one that was replaced stays as long as a sandbox is made of it.
import { chmod, mkdir, readdir, readlink, realpath, rename, rm, symlink } from 'node:fs/promises'
import { basename, dirname, join, relative } from 'node:path'
import { AppError } from '../../protocol/errors.ts'
import { ignoreMissing, orWhenMissing } from '../files.ts'

const CURRENT = 'current'

export function namedImagesFolder(dataDir: string): string {
  return join(dataDir, 'images', 'named')
}

/** The true path of the root file system. */
export async function findNamed(dataDir: string, name: string): Promise<string> {
  const path = join(namedImagesFolder(dataDir), name, CURRENT, 'rootfs')
  const found = await orWhenMissing(undefined, realpath(path))
  if (found) return found
  const message = `The image ${name} is not on this machine. Build it: errand image build ${name}; or bring your own: errand image import ${name} FOLDER`
  throw new AppError('not_found', 'image_not_built', message)
}

/** Takes a finished version (a folder with `rootfs` in it) in by renames: the image is the old or the new one, never half. */
export async function publishVersion(
  dataDir: string,
  name: string,
  { finished, version }: { finished: string; version: string },
): Promise<string> {
  const image = join(namedImagesFolder(dataDir), name)
  await mkdir(image, { recursive: true })
  for (const path of [dirname(image), image]) await chmod(path, 0o711)
  // Programs with the rights of root lie in it: nobody else on this machine may reach them.
  await chmod(finished, 0o700)
  await rename(finished, join(image, version))
  await rm(join(image, `${CURRENT}.new`), { force: true })
  await symlink(version, join(image, `${CURRENT}.new`))
  await rename(join(image, `${CURRENT}.new`), join(image, CURRENT))
  return join(image, version)
}

/** New sandboxes cannot have it any more; what sandboxes are made of is left. False when there is none. */
export async function withdrawNamed(dataDir: string, name: string): Promise<boolean> {
  const path = join(namedImagesFolder(dataDir), name, CURRENT)
  const isThere = (await orWhenMissing(undefined, readlink(path))) !== undefined
  await rm(path, { force: true })
  return isThere
}

export interface NamedVersion {
  name: string
  version: string
  path: string
  isCurrent: boolean
}

export async function listVersions(dataDir: string): Promise<NamedVersion[]> {
  const top = namedImagesFolder(dataDir)
  const found: NamedVersion[] = []
  for (const name of await namesIn(top)) {
    const current = await orWhenMissing(undefined, readlink(join(top, name, CURRENT)))
    for (const version of await namesIn(join(top, name)))
      if (!(version.startsWith(CURRENT) || /\.(?:json|gone)$/.test(version)))
        found.push({
          ...{ name, version, path: join(top, name, version) },
          isCurrent: version === current,
        })
  }
  return found
}

/** A version on its way out has this behind its name, where no new sandbox finds it. */
const GONE = '.gone'

/**
 * Takes away versions that were replaced or withdrawn and that no sandbox is made of. `readUsed` gives the paths of layers as
 * sandboxd has seen them: the data folder may be shown to it in another place. It is asked once more when they are out of reach:
 * a sandbox that was being made of one has said so by then, or finds it gone (see oci-create.ts).
 */
export async function removeUnusedVersions(
  dataDir: string,
  { readUsed, remove }: { readUsed(): Promise<string[]>; remove(path: string): Promise<void> },
): Promise<void> {
  const used = await readUsed()
  for (const { path, isCurrent } of await listVersions(dataDir))
    if (!(isCurrent || isUsed(dataDir, path, used)))
      await ignoreMissing(rename(path, `${path}${GONE}`))
  const usedNow = await readUsed()
  for (const path of await listGone(dataDir)) {
    const current = await orWhenMissing(undefined, readlink(join(dirname(path), CURRENT)))
    const isWanted = current === basename(path) || isUsed(dataDir, path, usedNow)
    if (isWanted) await ignoreMissing(rename(`${path}${GONE}`, path))
    else await remove(`${path}${GONE}`)
  }
}

function isUsed(dataDir: string, path: string, used: string[]): boolean {
  const end = `/${relative(dataDir, path)}/rootfs`
  return used.some((layer) => layer.endsWith(end))
}

/** Without what is behind their names. */
async function listGone(dataDir: string): Promise<string[]> {
  const top = namedImagesFolder(dataDir)
  const all = (await namesIn(top)).map(async (name) =>
    (await namesIn(join(top, name)))
      .filter((version) => version.endsWith(GONE))
      .map((version) => join(top, name, version.slice(0, -GONE.length))),
  )
  return (await Promise.all(all)).flat()
}

async function namesIn(path: string): Promise<string[]> {
  return (await orWhenMissing<string[]>([], readdir(path))).toSorted()
}
