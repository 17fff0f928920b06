// The named images of an installation: which there are, and taking one away.
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from '../config.ts'
import { AppError } from '../protocol/errors.ts'
import { orWhenMissing } from '../sandbox/files.ts'
import {
  listVersions,
  removeUnusedVersions,
  withdrawNamed,
} from '../sandbox/images/named-images.ts'
import { readAllClaims } from '../sandbox/oci/oci-context.ts'
import { readManifest } from './manifest.ts'

export interface ListedImage {
  name: string
  /** Null when there is a definition and nobody has built it. */
  version: string | null
  /** Null also where its manifest cannot be read. */
  builtAt: string | null
  packages: number
  manifest: string | null
}

export async function listImages({ codeDir, dataDir }: Config): Promise<ListedImage[]> {
  const versions = (await listVersions(dataDir)).filter(({ isCurrent }) => isCurrent)
  const there = await Promise.all(
    versions.map(async ({ name, version, path }) => {
      const manifest = join(path, 'manifest.json')
      // One that was cut off, as by a failure of power, hides neither its image nor the others.
      const known = await readManifest(manifest).catch(() => undefined)
      const { builtAt = null, packages = [] } = known ?? {}
      return { name, version, builtAt, packages: packages.length, manifest }
    }),
  )
  const known = new Set(there.map(({ name }) => name))
  const defined = await orWhenMissing([], readdir(join(codeDir, 'images'), { withFileTypes: true }))
  const missing = defined.filter((entry) => entry.isDirectory() && !known.has(entry.name))
  const nothing = { version: null, builtAt: null, packages: 0, manifest: null }
  return [...there, ...missing.map(({ name }) => ({ name, ...nothing }))]
}

/** How many versions stay because sandboxes are made of them. */
export async function removeImage(config: Config, name: string): Promise<number> {
  if (!(await withdrawNamed(config.dataDir, name))) {
    throw new AppError(
      'not_found',
      'image_not_built',
      `There is no image ${name} here. errand image list names those that are.`,
    )
  }
  await removeUnused(config)
  const left = await listVersions(config.dataDir)
  return left.filter((version) => version.name === name).length
}

/** Deletes versions that were replaced or withdrawn and that no sandbox is made of. */
export async function removeUnused({ dataDir, runtimeDir }: Config): Promise<void> {
  await removeUnusedVersions(dataDir, {
    readUsed: async () => {
      const claims = await readAllClaims({ config: { dataDir, runtimeDir, doorsDir: '' } })
      return claims.flatMap(({ layers }) => layers)
    },
    remove: (path) => rm(path, { recursive: true, force: true }),
  })
}
