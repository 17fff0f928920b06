// Makes a fresh clone what a lost work tree was when it was saved: branches, HEAD, stash, and all files as uncommitted as
// they were. What was staged is not known any more.
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { SAVED_WORK_REF } from '../../protocol/saved-refs.ts'
import { createGitInside, type GitInside, textOf } from '../checkout/git-inside.ts'
import { rawPath } from './save-files.ts'
import {
  onCheckout,
  openSavedStore,
  type SavedPlaces,
  type SavedStore,
  withoutFilters,
} from './saved-store.ts'
import { readWork, type SavedWork } from './saved-work.ts'

export interface RestoredWork {
  /** When it was saved. */
  at: string
  /** What is not as it was, in sentences. */
  differences: string[]
}

/** Undefined when nothing was saved. `places.folder` is a clone without a checkout; `ownBranch` the session's branch. */
export async function restoreWork(
  places: SavedPlaces,
  ownBranch: string,
  signal: AbortSignal,
): Promise<RestoredWork | undefined> {
  const git = createGitInside(places.folder, places.variables, signal)
  await git.text([
    'fetch',
    '--quiet',
    '--no-tags',
    places.source,
    `+${SAVED_WORK_REF}*:${SAVED_WORK_REF}*`,
  ])
  const saved = await git
    .text(['rev-parse', '--verify', '--quiet', SAVED_WORK_REF])
    .catch(() => undefined)
  if (saved === undefined) return undefined
  const work = readWork(await git.text(['cat-file', 'commit', saved]))
  if (!work) return undefined
  const base = await newestBase(git, work, ownBranch)
  await restoreRefs(git, work, base)
  const store = await openSavedStore(places, signal)
  const tree =
    base === work.head ? saved : await joinTrees(places, store, { saved, work, base, signal })
  const own = onCheckout(places, store, signal)
  await own.text(['read-tree', '--empty'])
  await own.text([...(await withoutFilters(own)), 'read-tree', '--reset', '-u', tree])
  if (base !== null) await git.text(['read-tree', base])
  await git.succeeds(['update-index', '-q', '--refresh'])
  const again = await restoreNested(git, places, work)
  await git.text(['update-ref', '-d', SAVED_WORK_REF])
  return { at: work.at, differences: [...differencesOf(work, base), ...again] }
}

/** What was pushed after the work tree was saved is newer than what was saved. */
async function newestBase(git: GitInside, { head, branch }: SavedWork, ownBranch: string) {
  const pushed = `refs/remotes/origin/${ownBranch}`
  const isOwn = branch === `refs/heads/${ownBranch}`
  if (!isOwn || !(await git.succeeds(['rev-parse', '--verify', '--quiet', pushed]))) return head
  const tip = await git.text(['rev-parse', pushed])
  if (head === null) return tip
  return (await git.succeeds(['merge-base', '--is-ancestor', head, tip])) ? tip : head
}

async function restoreRefs(git: GitInside, work: SavedWork, base: string | null): Promise<void> {
  // A branch that the clone has made and that was not there any more: others may stand in its place, such as `main/a`.
  const made = await git.text(['for-each-ref', '--format=%(refname)', 'refs/heads'])
  for (const ref of made.split('\n'))
    if (ref !== '' && !(ref in work.refs)) await git.text(['update-ref', '-d', ref])
  for (const [ref, id] of Object.entries(work.refs)) await git.text(['update-ref', ref, id])
  for (const { id, text } of work.stash.toReversed())
    await git.text(['stash', 'store', '--quiet', '--message', text, id])
  if (work.branch === null) {
    if (base !== null) await git.text(['update-ref', '--no-deref', 'HEAD', base])
  } else {
    await git.text(['symbolic-ref', 'HEAD', work.branch])
    if (base !== null) await git.text(['update-ref', work.branch, base])
  }
  const gitFolder = await git.text(['rev-parse', '--absolute-git-dir'])
  for (const [name, id] of Object.entries(work.pending))
    if (id !== undefined) await writeFile(join(gitFolder, name), `${id}\n`)
}

/** The saved changes on top of what was pushed later; where both changed a file, the later one is taken. */
async function joinTrees(
  places: SavedPlaces,
  store: SavedStore,
  {
    saved,
    work,
    base,
    signal,
  }: { saved: string; work: SavedWork; base: string | null; signal: AbortSignal },
): Promise<string> {
  if (base === null) return saved
  const git = onCheckout(places, store, signal)
  const empty = await git.text(['mktree'], { input: '' })
  await git.text(['read-tree', '-i', '-m', '--aggressive', work.head ?? empty, base, saved])
  const unmerged = await git.names(['ls-files', '-z', '--unmerged'])
  const names = [...new Set(unmerged.map((entry) => entry.slice(entry.indexOf('\t') + 1)))]
  await git.text(['update-index', '--force-remove', '-z', '--stdin'], { names })
  const later = unmerged
    .filter((entry) => / 2\t/.test(entry))
    .map((entry) => entry.replace(/ 2\t/, ' 0\t'))
  await git.text(['update-index', '-z', '--index-info'], { names: later })
  return git.text(['write-tree'])
}

/** Their history is gone; as repositories with one commit they are to git what they were. */
async function restoreNested(
  git: GitInside,
  { folder }: SavedPlaces,
  { nested }: SavedWork,
): Promise<string[]> {
  const told: string[] = []
  for (const name of nested) {
    const cwd = rawPath(folder, name).toString('utf8')
    const isInside = resolve(folder, name) === `${resolve(folder)}/${name}`
    if (!isInside || !existsSync(cwd)) continue
    const shown = textOf(name)
    told.push(`${shown} was a repository of its own: its files are back, its history is not.`)
    if ((await git.text(['ls-files', '--stage', '--', `:(literal)${shown}`])).startsWith('160000'))
      continue
    await git.text(['init', '--quiet'], { cwd })
    await git.succeeds(['add', '--all'], { cwd })
    await git.succeeds(
      ['commit', '--quiet', '--no-verify', '--message', 'Files as they were saved'],
      { cwd },
    )
  }
  return told
}

function differencesOf(work: SavedWork, base: string | null): string[] {
  const told: string[] = []
  if (base !== work.head)
    told.push(
      'Commits that were pushed later are there too; where they changed a file, theirs is taken.',
    )
  if (work.rebasing !== null)
    told.push(
      `A rebase of ${work.rebasing} was in progress, and is not any more: the branch is as it was before, and HEAD, which is detached, where the rebase had come to.`,
    )
  if (Object.keys(work.pending).length > 0)
    told.push('A merge or the like was in progress: which of its files are resolved is not known.')
  return told
}
