// A bare repository of the runner's own for what it saves: objects that only the saved commits have lie here, so that the
// repository of the session stays as its owner left it. It borrows from the checkout.
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Variables } from '../agent/agent-environment.ts'
import { createGitInside, type GitInside } from '../checkout/git-inside.ts'

export interface SavedPlaces {
  /** The checkout. */
  folder: string
  /** Where git really fetches from and pushes to. */
  source: string
  variables: Variables
  /** Belongs to this part of the runner alone. */
  store: string
}

export interface SavedStore {
  git: GitInside
  folder: string
  /** For commands that work on the checkout and leave their objects here. */
  objects: Variables
  index: string
}

/** Commits need an author, and those that nobody made should not name a person. */
const AUTHOR: Variables = {
  GIT_AUTHOR_NAME: 'Errand',
  GIT_AUTHOR_EMAIL: 'errand@localhost.invalid',
  GIT_COMMITTER_NAME: 'Errand',
  GIT_COMMITTER_EMAIL: 'errand@localhost.invalid',
}

export async function openSavedStore(
  { folder, variables, store }: SavedPlaces,
  signal: AbortSignal,
): Promise<SavedStore> {
  const repository = join(store, 'repository.git')
  await mkdir(store, { recursive: true, mode: 0o700 })
  const outside = createGitInside(store, { ...variables, ...AUTHOR }, signal)
  const format = await outside.text(['rev-parse', '--show-object-format'], { cwd: folder })
  const init = ['init', '--quiet', '--bare', '--template=', `--object-format=${format}`]
  await outside.text([...init, repository])
  const git = createGitInside(repository, { ...variables, ...AUTHOR, GIT_DIR: repository }, signal)
  const objects = join(repository, 'objects')
  const shared = await outside.text(
    ['rev-parse', '--path-format=absolute', '--git-path', 'objects'],
    {
      cwd: folder,
    },
  )
  await mkdir(join(objects, 'info'), { recursive: true })
  await writeFile(join(objects, 'info', 'alternates'), `${JSON.stringify(shared)}\n`)
  return {
    git,
    folder: repository,
    objects: { GIT_OBJECT_DIRECTORY: objects },
    index: join(store, 'index'),
  }
}

/** Git on the checkout with the store's index and objects; the checkout's own index and refs stay untouched. */
export function onCheckout(
  { folder, variables }: SavedPlaces,
  store: SavedStore,
  signal: AbortSignal,
): GitInside {
  const env = { ...variables, ...AUTHOR, ...store.objects, GIT_INDEX_FILE: store.index }
  return createGitInside(folder, env, signal)
}

/** Files are saved as they lie there: drivers such as that of large files would put others in their place. */
export async function withoutFilters(git: GitInside): Promise<string[]> {
  const pattern = '^filter\\..*\\.(clean|smudge|process|required)$'
  const names = await git
    .names(['config', '-z', '--name-only', '--get-regexp', pattern])
    .catch(() => [])
  return [...new Set(names)].flatMap((name) => [
    '-c',
    `${name}=${name.endsWith('.required') ? 'false' : ''}`,
  ])
}
