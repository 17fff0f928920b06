// The files of a diff as a tree, in the order of the diff: folders are lines of their own, chains of them are one line.
import type { Diff } from '../../../src/protocol/api.ts'

export type FileChange = Diff['files'][number]

export type TreeRow =
  | { kind: 'folder'; path: string; name: string; depth: number }
  | { kind: 'file'; file: FileChange; name: string; depth: number }

interface Folder {
  path: string
  /** By name; a file beside a folder of its name has other keys. */
  entries: Map<string, Folder | FileChange>
}

/** `name` is what stands on the line: the last part of a path, or all parts of a chain of folders. */
export function treeRows(files: readonly FileChange[]): TreeRow[] {
  const root: Folder = { path: '', entries: new Map() }
  for (const file of files) {
    const parts = file.path.split('/')
    let folder = root
    for (const part of parts.slice(0, -1)) folder = folderIn(folder, part)
    folder.entries.set(parts.at(-1) ?? '', file)
  }
  return rowsOf(root, 0)
}

function folderIn(parent: Folder, name: string): Folder {
  const known = parent.entries.get(`${name}/`)
  if (known && 'entries' in known) return known
  const folder: Folder = { path: `${parent.path}${name}/`, entries: new Map() }
  parent.entries.set(`${name}/`, folder)
  return folder
}

function rowsOf(parent: Folder, depth: number): TreeRow[] {
  return [...parent.entries].flatMap(([name, entry]): TreeRow[] => {
    if (!('entries' in entry)) return [{ kind: 'file', file: entry, name, depth }]
    const end = endOfChain(entry)
    const { path } = end
    const shown = path.slice(parent.path.length)
    return [{ kind: 'folder', path, name: shown, depth }, ...rowsOf(end, depth + 1)]
  })
}

/** The first folder at or below this one that holds more than another folder alone. */
function endOfChain(folder: Folder): Folder {
  const [only, ...others] = folder.entries.values()
  return only && others.length === 0 && 'entries' in only ? endOfChain(only) : folder
}
