// `errand image import`: a root file system that somebody made elsewhere becomes a named image. It is copied, nothing of it is
// run, and device files are left out.
import { mkdir, rm, stat, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Config } from '../config.ts'
import { runChecked } from '../lib/process.ts'
import { imageNameSchema } from '../protocol/environment.ts'
import { AppError } from '../protocol/errors.ts'
import { exists, orWhenMissing, readIfThere } from '../sandbox/files.ts'
import { checkLibc } from '../sandbox/images/libc.ts'
import { publishVersion } from '../sandbox/images/named-images.ts'
import { pathInRoot } from '../sandbox/images/path-in-root.ts'
import { removeUnused } from './catalogue.ts'
import { openBuildFolder, removeLeftImports } from './lock.ts'
import type { Manifest, PackageRecord } from './manifest.ts'
import { keepRegistries } from './registries.ts'
import { versionAt } from './version-at.ts'

export async function importImage(
  config: Config,
  { name, source }: { name: string; source: string },
): Promise<{ manifest: Manifest; path: string }> {
  const { dataDir, codeDir } = config
  if (!imageNameSchema.safeParse(name).success)
    throw refused(
      'image_name',
      `${name} is no name for an image: small letters, digits and hyphens, a letter first.`,
    )
  if (await exists(join(codeDir, 'images', name)))
    throw refused(
      'image_defined',
      `${name} is an image that Errand builds. Give yours another name.`,
    )
  // What cannot be removed keeps nobody from another image; the next start says so.
  await removeLeftImports(config).catch(() => undefined)
  const { folder, unlock } = await openBuildFolder(dataDir, name)
  try {
    const finished = join(folder, 'finished')
    const root = join(finished, 'rootfs')
    await rm(finished, { recursive: true, force: true })
    await mkdir(root, { recursive: true })
    await copyIn(resolve(source), root)
    await checkRoot(root)
    const builtAt = new Date().toISOString()
    const packages = await readPackages(root)
    const manifest = {
      name,
      version: versionAt(builtAt),
      builtAt,
      suite: null,
      packages,
      absent: [],
    }
    await writeFile(join(finished, 'manifest.json'), `${JSON.stringify(manifest, null, 1)}\n`)
    await keepRegistries(config, name, root)
    const path = await publishVersion(dataDir, name, { finished, version: manifest.version })
    await removeUnused(config)
    return { manifest, path }
  } finally {
    await rm(folder, { recursive: true, force: true })
    await unlock()
  }
}

async function copyIn(source: string, root: string): Promise<void> {
  const stats = await orWhenMissing(undefined, stat(source))
  if (!stats) throw new AppError('not_found', 'image_source', `There is nothing at ${source}.`)
  try {
    if (stats.isDirectory())
      await runChecked('cp', ['-a', '--reflink=auto', '--', `${source}/.`, root])
    else
      await runChecked('tar', [
        '-x',
        '-f',
        source,
        '-C',
        root,
        '--numeric-owner',
        '--exclude=./dev/*',
        '--exclude=dev/*',
      ])
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw refused(
      'image_source',
      `${source} is no folder and no tar archive with a root file system: ${why}`,
    )
  }
  await runChecked('find', [root, '(', '-type', 'b', '-o', '-type', 'c', ')', '-delete'])
  await runChecked('chmod', ['755', root])
}

async function checkRoot(root: string): Promise<void> {
  const shell = await pathInRoot(root, 'bin/sh')
  if (shell === undefined || !(await exists(shell)))
    throw refused(
      'image_source',
      'There is no /bin/sh in it, so it is no root file system that a sandbox can start on.',
    )
  await checkLibc(root, process.arch)
}

/** What dpkg says is installed; nothing where another package manager keeps the list. */
async function readPackages(root: string): Promise<PackageRecord[]> {
  const path = await pathInRoot(root, 'var/lib/dpkg/status')
  const text = (path && (await readIfThere(path))) ?? ''
  return text.split('\n\n').flatMap((stanza) => {
    const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(stanza)?.[1]
    const [name, version] = [field('Package'), field('Version')]
    const isInstalled = field('Status')?.endsWith(' installed')
    return name && version && isInstalled ? [{ kind: 'apt', name, version, checksum: '' }] : []
  })
}

function refused(reason: string, message: string): AppError {
  return new AppError('invalid', reason, message)
}
