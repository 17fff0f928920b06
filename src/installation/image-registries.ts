// The package registries of an image: of this machine's own tools, or of a root file system. Its files are read, links are
// followed below its own root, and nothing of it is run.
import { readdir, readFile, realpath, stat } from 'node:fs/promises'
import { join, relative } from 'node:path'
import type { Config } from '../config.ts'
import { createFetchPage } from '../egress/registries/fetch-page.ts'
import { discoverRegistries, type RegistriesFound } from '../egress/registries/registries.ts'
import type { ImageFiles } from '../egress/registries/registry-defaults.ts'
import { createHostDial } from '../git-egress.ts'
import { pathInRoot } from '../sandbox/images/path-in-root.ts'

/** A program of a language is large; what is larger holds no default. */
const MOST_BYTES = 256 << 20
const UNREADABLE = /^(?:ENOENT|ENOTDIR|EACCES|EISDIR|ELOOP)$/

/** `root` is `/` for the machine itself. */
export function findRegistries(
  { allowedNetworks }: Pick<Config, 'allowedNetworks'>,
  root: string,
  signal: AbortSignal,
): Promise<RegistriesFound> {
  const fetchPage = createFetchPage(createHostDial(), allowedNetworks)
  return discoverRegistries({ files: createImageFiles(root), fetchPage }, signal)
}

function createImageFiles(root: string): ImageFiles {
  const reading = async <T>(path: string, read: (found: string) => Promise<T>) => {
    try {
      const found = await pathInRoot(root, path)
      return found === undefined ? null : await read(found)
    } catch (error) {
      if (UNREADABLE.test((error as NodeJS.ErrnoException).code ?? '')) return null
      throw error
    }
  }
  return {
    read: (path) =>
      reading(path, async (found) => {
        const { size } = await stat(found)
        return size > MOST_BYTES ? null : await readFile(found)
      }),
    listFolder: async (path) => (await reading(path, (found) => readdir(found))) ?? [],
    resolve: (path) =>
      reading(path, async (found) => join('/', relative(await realpath(root), found))),
  }
}
