// Writes a bare repository that has refs and borrows its objects, file by file (gitrepository-layout): every session waits for
// it, and git would need a handful of its programs, one after the other.
import { mkdir } from 'node:fs/promises'
import { join, relative } from 'node:path'
import type { Git } from '../git-process.ts'
import { writeWhole } from '../records.ts'

const CONFIG = '[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n'
const FOLDERS = ['refs/heads', 'refs/tags', 'objects/info', 'objects/pack']

export interface BareRepository {
  /** The branch that HEAD names; it need not be there. */
  head: string
  /** Ids of objects by full name. */
  refs: ReadonlyMap<string, string>
  /** Absolute paths of the object folders that it borrows from. */
  borrows: readonly string[]
}

/** There must be nothing at `directory` that a repository has. All of it is on the disk when this resolves. */
export async function writeBareRepository(
  directory: string,
  { head, refs, borrows }: BareRepository,
): Promise<void> {
  await Promise.all(
    FOLDERS.map((name) => mkdir(join(directory, name), { recursive: true, mode: 0o700 })),
  )
  // Relative, so that the data folder may move. Repositories being built lie as deep as finished ones.
  const lines = borrows.map((path) => `${relative(join(directory, 'objects'), path)}\n`)
  const write = (name: string, text: string) => writeWhole(join(directory, name), text)
  await Promise.all([
    write('config', CONFIG),
    write('HEAD', `ref: refs/heads/${head}\n`),
    ...(lines.length === 0 ? [] : [write('objects/info/alternates', lines.join(''))]),
    write('packed-refs', packedRefs(refs)),
  ])
}

/** Sorted as git would, which then need not do it at each start. */
function packedRefs(refs: ReadonlyMap<string, string>): string {
  const sorted = [...refs]
    .map(([name, id]) => ({ bytes: Buffer.from(name), line: `${id} ${name}\n` }))
    .sort((a, b) => Buffer.compare(a.bytes, b.bytes))
  return ['# pack-refs with: sorted \n', ...sorted.map(({ line }) => line)].join('')
}

/** Writes down what each tag points at, which git otherwise has to read from the tags whenever refs are asked for. */
export async function peelTags(
  git: Git,
  directory: string,
  refs: ReadonlyMap<string, string>,
): Promise<void> {
  if (![...refs.keys()].some((name) => name.startsWith('refs/tags/'))) return
  await git.text({ args: [`--git-dir=${directory}`, 'pack-refs', '--all'], limitMs: 120_000 })
}
