// Finds a file of an image as a program inside would find it: links are followed below the image's own root and never
// above it. For images at rest only; it does not protect against somebody who changes links at the same time.
import { lstat, readlink, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { orWhenMissing } from '../files.ts'

const MAX_LINKS = 40

/** The host's path of `path` inside `root`; undefined when there is none. */
export async function pathInRoot(root: string, path: string): Promise<string | undefined> {
  const top = await realpath(root)
  const todo = path.split('/').reverse()
  const done: string[] = []
  let links = 0
  while (todo.length > 0) {
    const name = todo.pop()
    if (!name || name === '.') continue
    if (name === '..') {
      done.pop()
      continue
    }
    const here = join(top, ...done, name)
    const stats = await orWhenMissing(undefined, lstat(here))
    if (!stats) return undefined
    if (!stats.isSymbolicLink()) {
      done.push(name)
      continue
    }
    links += 1
    if (links > MAX_LINKS) return undefined
    const target = await readlink(here)
    if (target.startsWith('/')) done.length = 0
    todo.push(...target.split('/').reverse())
  }
  return join(top, ...done)
}
