// Makes a commit of the agent's conversation and of what the runner must remember. Files are cut into pieces, so that of a
// transcript that grew only its end is new.
import { mkdir, open, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { createGitInside } from '../checkout/git-inside.ts'
import type { SavedPlaces, SavedStore } from './saved-store.ts'

const PIECE_BYTES = 256 << 10
/** Of what is no transcript, larger files are left out. */
const MAX_OTHER_BYTES = 50 << 20
/** Folders of Claude Code's home that make up the conversation. */
const FOLDERS = ['projects', 'plans']
const STATE_FILE = 'state.json'
const FILES_FOLDER = 'files'

export interface ConversationPlaces {
  /** Claude Code's own folder. */
  home: string
  store: string
}

export interface ConversationSaver {
  /** Resolves with the tree of what there is now. */
  save(state: unknown, signal: AbortSignal): Promise<string>
}

export function createConversationSaver(
  places: ConversationPlaces & Pick<SavedPlaces, 'variables'>,
  store: SavedStore,
): ConversationSaver {
  const staging = stagingFolder(places.store)
  const known = new Map<string, string>()
  return {
    async save(state, signal) {
      const files = await listFiles(places.home)
      if (known.size === 0) await rm(staging, { recursive: true, force: true })
      for (const path of known.keys()) {
        if (files.has(path)) continue
        known.delete(path)
        await rm(join(staging, FILES_FOLDER, path), { recursive: true, force: true })
      }
      for (const [path, version] of files) {
        if (known.get(path) === version) continue
        await copyInPieces(join(places.home, path), join(staging, FILES_FOLDER, path))
        known.set(path, version)
      }
      const git = await stagingGit(places, store, signal)
      await writeFile(join(staging, STATE_FILE), JSON.stringify(state))
      await git.text(['add', '--all', '--force', '.'])
      return git.text(['write-tree'])
    },
  }
}

const stagingFolder = (store: string) => join(store, 'conversation')

/** Git with the folder of pieces as its work tree. */
export async function stagingGit(
  { store, variables }: Pick<SavedPlaces, 'store' | 'variables'>,
  { folder }: SavedStore,
  signal: AbortSignal,
) {
  const staging = stagingFolder(store)
  await mkdir(staging, { recursive: true })
  const index = join(store, 'conversation-index')
  const env = { ...variables, GIT_DIR: folder, GIT_WORK_TREE: staging, GIT_INDEX_FILE: index }
  return createGitInside(staging, env, signal)
}

/** The other way round: the pieces that git has written become files again. */
export async function putTogether(places: ConversationPlaces): Promise<void> {
  const from = join(stagingFolder(places.store), FILES_FOLDER)
  const folders = new Map<string, string[]>()
  for (const entry of await entriesBelow(from)) {
    if (!entry.isFile()) continue
    const path = relative(from, entry.parentPath)
    folders.set(path, [...(folders.get(path) ?? []), entry.name])
  }
  for (const [path, pieces] of folders) {
    const target = join(places.home, path)
    await mkdir(dirname(target), { recursive: true })
    await writeFile(target, '')
    for (const piece of pieces.sort())
      await writeFile(target, await readFile(join(from, path, piece)), { flag: 'a' })
    await cutToWholeLines(target)
  }
}

export async function readState(store: string): Promise<unknown> {
  return JSON.parse(await readFile(join(stagingFolder(store), STATE_FILE), 'utf8'))
}

/** Paths below `home`, each with what changes when the file does. */
async function listFiles(home: string): Promise<Map<string, string>> {
  const files = new Map<string, string>()
  for (const folder of FOLDERS) {
    const entries = await entriesBelow(join(home, folder))
    for (const entry of entries) {
      if (!entry.isFile()) continue
      const path = join(entry.parentPath, entry.name)
      const found = await stat(path).catch(() => undefined)
      if (!found || (found.size > MAX_OTHER_BYTES && !path.endsWith('.jsonl'))) continue
      files.set(relative(home, path), `${found.size} ${found.mtimeMs}`)
    }
  }
  return files
}

async function entriesBelow(folder: string) {
  return readdir(folder, { recursive: true, withFileTypes: true }).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return []
      throw error
    },
  )
}

async function copyInPieces(source: string, target: string): Promise<void> {
  await rm(target, { recursive: true, force: true })
  await mkdir(target, { recursive: true })
  const file = await open(source)
  try {
    const piece = Buffer.alloc(PIECE_BYTES)
    for (let number = 0; ; number++) {
      const { bytesRead } = await file.read(piece, 0, PIECE_BYTES, number * PIECE_BYTES)
      const name = String(number).padStart(6, '0')
      if (bytesRead > 0) await writeFile(join(target, name), piece.subarray(0, bytesRead))
      if (bytesRead < PIECE_BYTES) return
    }
  } finally {
    await file.close()
  }
}

/** It may have been saved in the middle of a line. */
async function cutToWholeLines(path: string): Promise<void> {
  if (!path.endsWith('.jsonl')) return
  const content = await readFile(path)
  await truncate(path, content.lastIndexOf(10) + 1)
}
