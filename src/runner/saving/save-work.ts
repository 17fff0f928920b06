// Makes a commit of the work tree as it is: with untracked files, without ignored ones. It has an index of its own and
// touches neither the index nor HEAD nor the refs of the checkout, and runs none of its hooks or filters.
import { existsSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { type GitInside, textOf } from '../checkout/git-inside.ts'
import { saveFiles } from './save-files.ts'
import { onCheckout, type SavedPlaces, type SavedStore } from './saved-store.ts'
import { describeWork, MOST_NAME_CHARS, PENDING_HEADS, type SavedWork } from './saved-work.ts'

/** The latest local branches; those beyond are not saved. */
const MOST_BRANCHES = 100
const MOST_STASHES = 50

export interface WorkCommit {
  commit: string
  /** The same for the same work. */
  content: string
  /** Files that could not be saved. */
  leftOut: string[]
}

/** `since` is the content that was saved last; resolves with undefined when it is the same still. */
export async function saveWork(
  places: SavedPlaces,
  store: SavedStore,
  { since, signal }: { since: string | undefined; signal: AbortSignal },
): Promise<WorkCommit | undefined> {
  const git = onCheckout(places, store, signal)
  const { folder } = places
  try {
    const facts = await readFacts(git, folder)
    const { tree, leftOut, nested } = await saveFiles(git, { folder, head: facts.head, store })
    const content = JSON.stringify({ ...facts, nested, tree })
    if (content === since) return undefined
    const input = describeWork({ at: new Date().toISOString(), ...facts, nested })
    const commit = await git.text(['commit-tree', tree, ...parentsOf(facts)], { input })
    const shown = leftOut.map(textOf)
    return { commit, content, leftOut: shown }
  } catch (error) {
    // What the index names may be gone with a repository that was made anew: the next time begins from nothing.
    await rm(store.index, { force: true })
    throw error
  }
}

type Facts = Omit<SavedWork, 'at' | 'nested'>

async function readFacts(git: GitInside, folder: string): Promise<Facts> {
  const head = await git
    .text(['rev-parse', '--verify', '--quiet', 'HEAD^{commit}'])
    .catch(() => null)
  const branch = await git.text(['symbolic-ref', '--quiet', 'HEAD']).catch(() => null)
  const listed = await git.text([
    'for-each-ref',
    '--sort=-committerdate',
    `--count=${MOST_BRANCHES}`,
    '--format=%(objectname) %(refname)',
    'refs/heads',
  ])
  const lines = listed.split('\n').filter((line) => line !== '')
  const refs = Object.fromEntries(lines.map((line) => [line.slice(41), line.slice(0, 40)]))
  const gitFolder = resolve(folder, await git.text(['rev-parse', '--git-dir']))
  const pending = await readPending(gitFolder)
  const rebasing = await readRebasing(gitFolder)
  return { head, branch, refs, stash: await readStash(git), pending, rebasing }
}

async function readStash(git: GitInside): Promise<Facts['stash']> {
  if (!(await git.succeeds(['rev-parse', '--verify', '--quiet', 'refs/stash']))) return []
  const args = ['log', '-g', `-${MOST_STASHES}`, '--format=%H %gs', 'refs/stash', '--']
  const lines = (await git.text(args)).split('\n')
  return lines.map((line) => ({ id: line.slice(0, 40), text: line.slice(41) }))
}

async function readRebasing(gitFolder: string): Promise<Facts['rebasing']> {
  const path = ['rebase-merge', 'rebase-apply']
    .map((name) => join(gitFolder, name, 'head-name'))
    .find(existsSync)
  if (path === undefined) return null
  const name = (await readFile(path, 'utf8')).trim().replace(/^refs\/heads\//, '')
  return name.slice(0, MOST_NAME_CHARS)
}

async function readPending(gitFolder: string): Promise<Facts['pending']> {
  const pending: Facts['pending'] = {}
  for (const name of PENDING_HEADS) {
    const path = join(gitFolder, name)
    const id = existsSync(path) ? (await readFile(path, 'latin1')).trim() : ''
    if (/^[0-9a-f]{40}$/.test(id)) pending[name] = id
  }
  return pending
}

/** Everything that only this clone may have becomes an ancestor of the saved commit. */
function parentsOf({ head, refs, stash, pending }: Facts): string[] {
  const others = [...Object.values(refs), ...stash.map(({ id }) => id), ...Object.values(pending)]
  const ids = new Set([head, ...others].filter((id) => id !== null))
  return [...ids].flatMap((id) => ['-p', id])
}
