// Repositories inside of a work tree, at the end of a turn: one that no `.gitmodules` names does not come into the commit, and
// of a submodule nothing but the id of its commit does.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Variables } from '../agent/agent-environment.ts'
import { createGitInside, type GitInside, type RawName, textOf } from '../checkout/git-inside.ts'
import { readSubmodules } from '../checkout/submodules.ts'

const LINK = '160000'

/** As `git ls-tree -z` says it: mode, commit and name. */
type Link = string

/**
 * Takes them out of the index. In a commit each would be a submodule without an address, and git brings none of a commit that
 * has such a one. A link that a commit holds already stays what it is.
 */
export async function leaveOutRepositories(git: GitInside, folder: string): Promise<Link[]> {
  const staged = await git.names(['diff', '--cached', '--raw', '-z', '--no-renames', '--no-abbrev'])
  const submodules = new Set(await readSubmodules(git, folder))
  const links: Link[] = []
  const names: RawName[] = []
  for (let at = 0; at < staged.length; at += 2) {
    const [before, mode, , commit] = staged[at]?.split(' ') ?? []
    const name = staged[at + 1] ?? ''
    if (mode !== LINK || before === `:${LINK}` || submodules.has(name)) continue
    links.push(`${LINK} commit ${commit}\t${name}`)
    names.push(name)
  }
  if (names.length > 0)
    await git.text(['update-index', '--force-remove', '-z', '--stdin'], { names })
  return links
}

/** Names of those that are not the same in the tree; of all without one. */
export async function newOnes(
  git: GitInside,
  links: Link[],
  tree: string | null,
): Promise<string[]> {
  const names = links.map((link) => textOf(link.slice(link.indexOf('\t') + 1)))
  if (tree === null || links.length === 0) return names
  // Of a turn that is gone on with in another sandbox the tree is not there.
  const listed = await git.names(['ls-tree', '-z', tree, '--', ...names]).catch(() => [])
  const known = new Set(listed)
  return names.filter((_, index) => !known.has(links[index] ?? ''))
}

const MOST_FILES = 5
/** They may be large, or their filters hang: what is not known by then is not told. */
const LIMIT_MS = 15_000

/** What submodules hold that nobody else has, in one line for each. The submodules of these count as files of theirs. */
export async function describeSubmodules(
  { folder, baseCommit, variables }: { folder: string; baseCommit: string; variables: Variables },
  signal: AbortSignal,
): Promise<string[]> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(LIMIT_MS)])
  const git = createGitInside(folder, variables, limit)
  const names = (await readSubmodules(git, folder)).map(textOf)
  const present = names.filter(
    (name) => !name.split('/').includes('..') && existsSync(join(folder, name, '.git')),
  )
  const described = present.map((name) =>
    describeSubmodule(git, { name, folder, baseCommit }).catch(() => ''),
  )
  return (await Promise.all(described)).filter((line) => line !== '')
}

async function describeSubmodule(
  git: GitInside,
  { name, folder, baseCommit }: { name: string; folder: string; baseCommit: string },
): Promise<string> {
  const call = { cwd: join(folder, name) }
  const start = await git.text(['rev-parse', `${baseCommit}:${name}`]).catch(() => '')
  const known = ['--remotes', ...(start === '' ? [] : [start])]
  const ahead = ['rev-list', '--count', '--ignore-missing', 'HEAD', '--not', ...known, '--']
  const commits = Number(await git.text(ahead, call))
  const status = await git.names(['status', '--porcelain', '-z', '--no-renames'], call)
  const files = status.map((entry) => textOf(entry.slice(3)))
  const shown = [...files.slice(0, MOST_FILES), ...(files.length > MOST_FILES ? ['…'] : [])]
  const parts = [
    commits === 0 ? '' : `${commits} of its commits on no branch of its remote`,
    files.length === 0 ? '' : `files that are not committed in it (${shown.join(', ')})`,
  ].filter((part) => part !== '')
  return parts.length === 0 ? '' : `${name}: ${parts.join(', and ')}`
}
