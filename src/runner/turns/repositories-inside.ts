// Repositories inside of a work tree, at the end of a turn: one that no `.gitmodules` names does not come into the commit.
import { type GitInside, type RawName, textOf } from '../checkout/git-inside.ts'
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
  const known = new Set(await git.names(['ls-tree', '-z', tree, '--', ...names]))
  return names.filter((_, index) => !known.has(links[index] ?? ''))
}
