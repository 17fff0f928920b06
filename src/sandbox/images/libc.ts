// Whether the programs that Errand brings into a sandbox can run on the image's C library. Read from its files: nothing of
// an image is ever executed on the host.
import { readFile } from 'node:fs/promises'
import { AppError } from '../../protocol/errors.ts'
import { pathInRoot } from './path-in-root.ts'

/** What Node and Claude Code are linked against. */
const OLDEST_GLIBC = [2, 28] as const

const TRIPLETS: Record<string, string> = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' }

/** Throws `unsupported / image_libc` when the image has no glibc or one that is too old. */
export async function checkLibc(root: string, arch: string): Promise<void> {
  const version = await readGlibcVersion(root, arch)
  const oldest = OLDEST_GLIBC.join('.')
  if (!version)
    throw unsupported(`The image has no GNU C library (musl is not enough); ${oldest} is needed`)
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major < OLDEST_GLIBC[0] || (major === OLDEST_GLIBC[0] && minor < OLDEST_GLIBC[1]))
    throw unsupported(`The image's GNU C library is ${version}; ${oldest} or newer is needed`)
}

async function readGlibcVersion(root: string, arch: string): Promise<string | undefined> {
  const triplet = TRIPLETS[arch] ?? ''
  const folders = [`lib/${triplet}`, `usr/lib/${triplet}`, 'lib64', 'usr/lib64', 'lib', 'usr/lib']
  for (const folder of folders) {
    const path = await pathInRoot(root, `${folder}/libc.so.6`)
    if (!path) continue
    const version = parseGlibcVersion(await readFile(path))
    if (version) return version
  }
  return undefined
}

/** The library carries its own banner: "GNU C Library (…) stable release version 2.36." */
export function parseGlibcVersion(library: Buffer): string | undefined {
  const at = library.indexOf('GNU C Library')
  if (at === -1) return undefined
  const banner = library.toString('latin1', at, at + 200)
  return /release version (\d+\.\d+)/.exec(banner)?.[1]
}

function unsupported(message: string): AppError {
  return new AppError('unsupported', 'image_libc', message)
}
