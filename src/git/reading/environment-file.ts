// What a repository says of the environment that it wants, read as data from its objects: never a work tree, never a filter.
import type { Git } from '../git-process.ts'
import type { PreparedSession } from '../messages.ts'

const PATH = '.errand/environment.yaml'
const MOST_BYTES = 64 * 1024

/** Null when the commit has no such file; a folder of that name is none, a link is the text of its target. */
export async function readEnvironmentFile(
  git: Git,
  directory: string,
  commit: string,
): Promise<PreparedSession['environmentFile']> {
  const { exitCode, stdout, truncated } = await git.run({
    args: [`--git-dir=${directory}`, 'cat-file', 'blob', `${commit}:${PATH}`],
    maxBytes: MOST_BYTES,
  })
  if (exitCode !== 0 && !truncated) return null
  return { text: stdout.toString('utf8'), truncated }
}
