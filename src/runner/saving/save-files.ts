// Brings an index of the runner's own in line with the work tree: untracked files too, ignored ones not, those of a
// repository inside of it as plain files. Only what changed since the last time is read.
import { existsSync } from 'node:fs'
import { lstat, realpath } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { ProcessError } from '../../lib/process.ts'
import type { GitInside, RawName } from '../checkout/git-inside.ts'
import { readSubmodules } from '../checkout/submodules.ts'
import { type SavedStore, withoutFilters } from './saved-store.ts'

const MAX_FILE_BYTES = 50 << 20
const MOST_NESTING = 8
const GITLINK = '160000'
const NO_FILE = '0'.repeat(40)

export interface SavedFiles {
  tree: string
  /** Folders with a repository of their own. */
  nested: RawName[]
  /** Files that are too large, or that git cannot take; one that was saved before stays as it was then. */
  leftOut: RawName[]
}

/** `git` works with the store's index. */
export async function saveFiles(
  git: GitInside,
  { folder, head, store }: { folder: string; head: string | null; store: SavedStore },
): Promise<SavedFiles> {
  if (!existsSync(store.index)) await git.text(['read-tree', head ?? '--empty'])
  await openNested(git, folder)
  const filters = await withoutFilters(git)
  const gitFolder = resolve(folder, await git.text(['rev-parse', '--git-dir']))
  const ownIndex = { env: { GIT_INDEX_FILE: join(gitFolder, 'index') } }
  const theirs = new Set(await git.names(['ls-files', '-z'], ownIndex))
  const pointers = await findPointers(git, gitFolder, ownIndex)
  const untracked = await git.names(['ls-files', '-z', ...UNTRACKED])
  const changed = await git.names(['diff-files', '-z', '--name-only', '--ignore-submodules=all'])
  const leftOut = new Set(await findLarge(folder, [...untracked, ...changed]))

  const excluded = [...leftOut, ...pointers.keys()].map((name) => `:(exclude,top,literal)${name}`)
  if (await isDeadly(git, filters, ['.', ...excluded])) {
    const single = [...untracked, ...changed].filter(
      (name) => !leftOut.has(name) && !pointers.has(name),
    )
    for (const name of await addMost(git, filters, single))
      if (await isThere(folder, name)) leftOut.add(name)
  }
  await git.text(['update-index', '-z', '--index-info'], { names: [...pointers.values()] })
  const ignored = await git.names(['ls-files', '-z', '--cached', '--ignored', '--exclude-standard'])
  const dropped = ignored.filter((name) => !theirs.has(name))
  await git.text(['update-index', '--force-remove', '-z', '--stdin'], { names: dropped })
  const saved = new Set(await git.names(['ls-files', '-z']))
  const forced = [...theirs].filter((name) => !saved.has(name) && !leftOut.has(name))
  const added = await findPlain(folder, forced)
  await git.text([...filters, 'update-index', '--add', '-z', '--stdin'], { names: added })
  const tree = await git.text(['write-tree'])
  return { tree, nested: findNested(folder, saved), leftOut: [...leftOut] }
}

const GIT_DIED = 128
/** No file by itself is the reason. */
const OF_THE_DISK = /unable to (?:create|write)|No space left|quota exceeded/i
const ADD = ['add', '--all', '--ignore-errors', '--pathspec-from-file=-', '--pathspec-file-nul']

/**
 * A file that cannot be read, or is gone while it is read, does not keep the others from being added. At one that cannot be
 * what the attributes of the repository say, as one in another encoding, git ends and has added none.
 */
async function isDeadly(git: GitInside, filters: string[], paths: RawName[]): Promise<boolean> {
  try {
    await git.text([...filters, ...ADD], { names: paths })
    return false
  } catch (error) {
    if (!(error instanceof ProcessError) || OF_THE_DISK.test(error.result.stderr)) throw error
    return error.result.exitCode === GIT_DIED
  }
}

/** Resolves with those at which git ends. */
async function addMost(git: GitInside, filters: string[], names: RawName[]): Promise<RawName[]> {
  const paths = names.map((name) => `:(top,literal)${name}`)
  if (names.length === 0 || !(await isDeadly(git, filters, paths))) return []
  if (names.length === 1) return names
  const half = names.length >> 1
  const first = await addMost(git, filters, names.slice(0, half))
  return [...first, ...(await addMost(git, filters, names.slice(half)))]
}

const isThere = (folder: string, name: RawName) =>
  lstat(rawPath(folder, name)).then(
    () => true,
    () => false,
  )

const UNTRACKED = ['--others', '--exclude-standard']

const LARGE = ':(attr:filter=lfs)'

/**
 * Large files (Git LFS) that are as they are outside: what is saved of them is the pointer that the index holds, since their content
 * comes from outside again. Those that were changed, or committed since, are saved like others. By name, as in the index.
 */
async function findPointers(
  git: GitInside,
  gitFolder: string,
  ownIndex: { env: Record<string, string> },
): Promise<Map<RawName, string>> {
  if (!existsSync(join(gitFolder, 'lfs'))) return new Map()
  const outside = await newestOutside(git)
  if (outside === undefined) return new Map()
  const staged = await git.names(['ls-files', '-z', '--stage', '--', LARGE], ownIndex)
  const here = await git.names(['diff-files', '-z', '--name-only'], ownIndex)
  const ahead = await git.names(['diff-index', '-z', '--cached', '--name-only', outside], ownIndex)
  const changed = new Set([...here, ...ahead])
  const named = staged.map((entry) => [entry.slice(entry.indexOf('\t') + 1), entry] as const)
  return new Map(named.filter(([name]) => !changed.has(name)))
}

/** The newest commit of HEAD's history that a branch of the remote holds. */
async function newestOutside(git: GitInside): Promise<string | undefined> {
  const args = ['rev-list', '--boundary', 'HEAD', '--not', '--remotes=origin']
  const listed = await git.text(args).catch(() => undefined)
  if (listed === undefined) return undefined
  const boundary = listed.split('\n').find((line) => line.startsWith('-'))
  return listed === '' ? 'HEAD' : boundary?.slice(1)
}

/**
 * A repository inside of the work tree would be saved as the id of a commit that nobody else has. With the name of any
 * file below it in the index, git takes all that is there for files like others. Submodules stay what they are.
 */
async function openNested(git: GitInside, folder: string): Promise<void> {
  const submodules = new Set(await readSubmodules(git, folder))
  for (let depth = 0; depth < MOST_NESTING; depth++) {
    const staged = await git.names(['ls-files', '-z', '--stage'])
    const links = staged
      .filter((entry) => entry.startsWith(GITLINK))
      .map((entry) => entry.slice(entry.indexOf('\t') + 1))
      .filter((name) => !submodules.has(name) && existsSync(rawPath(folder, `${name}/.git`)))
    const others = await git.names(['ls-files', '-z', ...UNTRACKED])
    const found = others.filter((name) => name.endsWith('/')).map((name) => name.slice(0, -1))
    if (links.length + found.length === 0) return
    await git.text(['update-index', '--force-remove', '-z', '--stdin'], { names: links })
    const entries = [...links, ...found].map(
      (name) => `100644 ${NO_FILE.replace(/0$/, '1')} 0\t${name}/.git-inside`,
    )
    await git.text(['update-index', '-z', '--index-info'], { names: entries })
  }
}

/** Folders of the index with a `.git` of their own. */
function findNested(folder: string, names: Iterable<RawName>): RawName[] {
  const folders = new Set<RawName>()
  for (const name of names)
    for (let end = name.lastIndexOf('/'); end > 0; end = name.lastIndexOf('/', end - 1)) {
      const parent = name.slice(0, end)
      if (folders.has(parent)) break
      folders.add(parent)
    }
  return [...folders].filter((name) => existsSync(rawPath(folder, `${name}/.git`))).sort()
}

async function findLarge(folder: string, names: RawName[]): Promise<RawName[]> {
  const large: RawName[] = []
  for (const name of names) {
    const found = await lstat(rawPath(folder, name)).catch(() => undefined)
    if (found?.isFile() && found.size > MAX_FILE_BYTES) large.push(name)
  }
  return large
}

/** Files and links that lie in real folders: of others git would refuse the whole list. */
async function findPlain(folder: string, names: RawName[]): Promise<RawName[]> {
  const plain: RawName[] = []
  const root = await realpath(folder)
  for (const name of names) {
    const path = rawPath(root, name)
    const found = await lstat(path).catch(() => undefined)
    if (!found?.isFile() && !found?.isSymbolicLink()) continue
    const parent = await realpath(rawPath(root, dirname(name)), 'latin1')
    if (parent === join(rawPath(root, '').toString('latin1'), dirname(name))) plain.push(name)
  }
  return plain
}

/** A path of bytes. */
export function rawPath(folder: string, name: RawName): Buffer {
  return Buffer.concat([Buffer.from(`${folder}/`), Buffer.from(name, 'latin1')])
}
