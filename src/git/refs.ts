// Reading and comparing the refs of a repository on this host.
import type { Git } from './git-process.ts'

const SHOWN = ['refs/heads', 'refs/tags']

/** Branches and tags by full name, or what lies at or below other names. A tag's id is that of the tag object. */
export async function listRefs(
  git: Git,
  directory: string,
  below: readonly string[] = SHOWN,
): Promise<Map<string, string>> {
  const text = await git.text({
    args: [`--git-dir=${directory}`, 'for-each-ref', '--format=%(objectname) %(refname)', ...below],
  })
  const refs = new Map<string, string>()
  for (const line of text.split('\n')) if (line !== '') refs.set(line.slice(41), line.slice(0, 40))
  return refs
}

export async function readRef(
  git: Git,
  directory: string,
  ref: string,
): Promise<string | undefined> {
  const args = [
    `--git-dir=${directory}`,
    'rev-parse',
    '--verify',
    '--quiet',
    '--end-of-options',
    ref,
  ]
  const { exitCode, stdout } = await git.run({ args })
  return exitCode === 0 ? stdout.toString('utf8').trim() : undefined
}

export async function isCommit(
  git: Git,
  directory: string,
  object: { id: string; env?: Record<string, string> },
): Promise<boolean> {
  const args = [`--git-dir=${directory}`, 'cat-file', '-t', object.id]
  const { exitCode, stdout } = await git.run({ args, env: object.env })
  return exitCode === 0 && stdout.toString('utf8').trim() === 'commit'
}

/** Which of these objects are not there. */
export async function missingObjects(
  git: Git,
  directory: string,
  ids: readonly string[],
): Promise<string[]> {
  if (ids.length === 0) return []
  const args = [`--git-dir=${directory}`, 'cat-file', '--batch-check']
  const text = await git.text({ args, input: ids.map((id) => `${id}\n`).join('') })
  const missing = text.split('\n').filter((line) => line.endsWith(' missing'))
  return missing.map((line) => line.slice(0, line.indexOf(' ')))
}

/** Whether `older` is `newer` or one of its ancestors. */
export async function isAncestor(
  git: Git,
  directory: string,
  pair: { older: string; newer: string; env?: Record<string, string> },
): Promise<boolean> {
  const args = [`--git-dir=${directory}`, 'merge-base', '--is-ancestor', pair.older, pair.newer]
  const { exitCode } = await git.run({ args, env: pair.env })
  return exitCode === 0
}

/** Makes the branches and tags of a repository those that are given, except what `keep` names. */
export async function copyRefs(
  git: Git,
  move: {
    from: ReadonlyMap<string, string>
    to: string
    keep: (ref: string) => boolean
    below?: readonly string[]
  },
): Promise<void> {
  const present = await listRefs(git, move.to, move.below)
  const gone = [...present.keys()].filter((ref) => !move.from.has(ref) && !move.keep(ref))
  const changed = [...move.from].filter(([ref, id]) => present.get(ref) !== id && !move.keep(ref))
  // Two transactions: a branch `a` must be gone before `a/b` can be written.
  await updateRefs(
    git,
    move.to,
    gone.map((ref) => `delete ${ref}\n`),
  )
  await updateRefs(
    git,
    move.to,
    changed.map(([ref, id]) => `update ${ref} ${id}\n`),
  )
}

async function updateRefs(git: Git, directory: string, commands: string[]): Promise<void> {
  if (commands.length === 0) return
  await git.text({
    args: [`--git-dir=${directory}`, 'update-ref', '--no-deref', '--stdin'],
    input: commands.join(''),
    limitMs: 120_000,
  })
}

/** The branch that work starts from when nobody named one; undefined when there is no branch at all. */
export function chooseBranch(
  refs: ReadonlyMap<string, string>,
  head: { commit: string | null; branch: string | null },
): string | undefined {
  const branches = [...refs.keys()]
    .filter((ref) => ref.startsWith('refs/heads/'))
    .map((ref) => ref.slice(11))
  if (head.branch !== null && refs.has(`refs/heads/${head.branch}`)) return head.branch
  const usual = ['main', 'master'].filter((name) => branches.includes(name))
  const atHead = [...usual, ...branches].find(
    (name) => refs.get(`refs/heads/${name}`) === head.commit,
  )
  return atHead ?? usual[0] ?? branches[0]
}
