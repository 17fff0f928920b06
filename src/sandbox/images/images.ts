// Turns the image that a specification names into layers and mounts. Layers are named by their content, so that the same
// image is prepared once and a running sandbox keeps the one that it was created with.
import { createHash } from 'node:crypto'
import { mkdir, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { ownedCopyPrefix, rangesOfOwnedCopies } from '../disks/owner-shift.ts'
import { orWhenMissing } from '../files.ts'
import type { IdRange } from '../oci/id-ranges.ts'
import type { Rights } from '../oci/oci-rights.ts'
import type { SandboxImage } from '../spec.ts'
import { readExtraCertificates } from './certificates.ts'
import { hostLayer } from './host-image.ts'
import { hashEntries, type LayerEntry, writeLayer } from './layer.ts'
import { checkLibc } from './libc.ts'
import { findNamed, removeUnusedVersions } from './named-images.ts'
import { resolveRootfs, rootfsLayer } from './rootfs-image.ts'

export interface ImagesConfig {
  dataDir: string
  /** Images of kind `rootfs` have to lie below one of these. */
  rootfsDirs: string[]
  /** PEM files with authorities that the owner added. */
  extraCaFiles: string[]
  homeDir: string
  arch: string
  rights: Pick<Rights, 'copyOwned' | 'removeTree'>
}

export interface Images {
  /** Paths of the image's layers, the topmost first. */
  prepare(image: SandboxImage): Promise<string[]>
  /** Changes with the image; see SandboxDriver. */
  identify(image: SandboxImage): Promise<string>
  /** The range of an owned copy of a root file system, when there is one. */
  findOwned(root: string): Promise<IdRange | undefined>
  /** Makes that copy, once; returns its path. */
  own(root: string, uidBase: number): Promise<string>
  ownedRanges(): Promise<IdRange[]>
  /** Deletes layers, copies and replaced versions of named images that are not in `used`. Only while nothing else is asked of the images. */
  prune(used: string[]): Promise<void>
}

export function createImages(config: ImagesConfig): Images {
  const layers = join(config.dataDir, 'images', 'layers')
  let host: Promise<string[]> | undefined
  const store = async (kind: string, entries: LayerEntry[]) => {
    await mkdir(layers, { recursive: true, mode: 0o700 })
    const path = join(layers, `${kind}-${hashEntries(entries)}`)
    await writeLayer(path, entries)
    return path
  }
  const prepareHost = async () => {
    await checkLibc('/', config.arch)
    const extraCertificates = await readExtraCertificates(config.extraCaFiles)
    return [await store('host', await hostLayer({ extraCertificates, homeDir: config.homeDir }))]
  }
  const prepareRootfs = async (root: string) => {
    await checkLibc(root, config.arch)
    const extra = await readExtraCertificates(config.extraCaFiles)
    return [await store('rootfs', await rootfsLayer(root, extra)), root]
  }
  const names = () => orWhenMissing<string[]>([], readdir(layers))
  const prepare = async (image: SandboxImage) => {
    if (image.kind === 'rootfs')
      return await prepareRootfs(await resolveRootfs(image.path, config.rootfsDirs))
    if (image.kind === 'named')
      return await prepareRootfs(await findNamed(config.dataDir, image.name))
    host ??= prepareHost().catch((error) => {
      host = undefined
      throw error
    })
    return await host
  }
  return {
    ...createOwnedCopies(layers, names, config.rights),
    prepare,
    identify: async (image) => {
      const [, root = '/'] = await prepare(image)
      const parts = await Promise.all(TELLING.map((path) => stampOf(join(root, path))))
      return createHash('sha256')
        .update(JSON.stringify([root, parts]))
        .digest('hex')
    },
    prune: async (used) => {
      const unused = (await names()).filter((name) => !used.includes(join(layers, name)))
      // The next sandbox most likely wants the newest one.
      const kept = await newest(layers, unused.filter(isHostLayer))
      for (const name of unused)
        if (name !== kept) await config.rights.removeTree(join(layers, name))
      await removeUnusedVersions(config.dataDir, {
        readUsed: async () => used,
        remove: config.rights.removeTree,
      })
    },
  }
}

/** What changes when an image is unpacked anew or gets other packages. */
const TELLING = ['', 'etc/os-release', 'var/lib/dpkg/status', 'lib/apk/db/installed']

async function stampOf(path: string): Promise<string> {
  const stats = await orWhenMissing(undefined, stat(path))
  if (!stats) return ''
  return stats.isDirectory() ? `${stats.ino}` : `${stats.ino} ${stats.size} ${stats.mtimeMs}`
}

function isHostLayer(name: string): boolean {
  return /^host-[0-9a-f]+$/.test(name)
}

async function newest(folder: string, names: string[]): Promise<string | undefined> {
  const times = await Promise.all(
    names.map(async (name) => (await stat(join(folder, name))).ctimeMs),
  )
  return names[times.indexOf(Math.max(...times))]
}

function createOwnedCopies(
  folder: string,
  names: () => Promise<string[]>,
  { copyOwned }: Pick<Rights, 'copyOwned'>,
) {
  const ownedRanges = async () => rangesOfOwnedCopies(await names())
  return {
    ownedRanges,
    findOwned: async (root: string) => {
      const prefix = await ownedCopyPrefix(root)
      const found = (await names()).filter((name) => name.startsWith(prefix))
      return rangesOfOwnedCopies(found)[0]
    },
    own: async (root: string, uidBase: number) => {
      const path = join(folder, `${await ownedCopyPrefix(root)}${uidBase}`)
      await copyOwned(root, path, uidBase)
      return path
    },
  }
}
