// Makes the work tree of a session from one that lies in a layer below its sandbox: fetches what is new, writes the files that
// have changed since, and leaves all others untouched and unread. Whatever does not fit is cloned as without a layer.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { SANDBOX_PATHS } from '../../protocol/network.ts'
import type { RunnerSetup } from '../../protocol/runner-frames.ts'
import type { Variables } from '../agent/agent-environment.ts'
import { createGitInside, type GitInside } from './git-inside.ts'

export const CHECKOUT_LAYER_FORMAT = 1

const checkoutLayerSchema = z.object({
  format: z.literal(CHECKOUT_LAYER_FORMAT),
  /** Folder of the work tree. */
  name: z.string(),
  commit: z.string(),
})
export type CheckoutLayer = z.infer<typeof checkoutLayerSchema>

export interface TakeCheckoutDeps {
  setup: Pick<RunnerSetup, 'repository'>
  workspace: string
  variables: Variables
  /** Where git is said to fetch from. */
  url: string
  /** What a layer says of itself; its usual place unless told. */
  checkoutLayer?: string
}

const SHORT = 12

/** False when there is none that fits: what lies there then is of no use. */
export async function takeCheckout(
  deps: TakeCheckoutDeps,
  logged: (lines: string[]) => void,
  signal: AbortSignal,
): Promise<boolean> {
  const layer = await readLayer(deps)
  if (!layer) return false
  try {
    const changed = await bringTo(deps, layer, signal)
    const files = changed === 1 ? '1 file' : `${changed} files`
    const commit = layer.commit.slice(0, SHORT)
    logged([`The work tree of ${commit} was taken from a layer: ${files} changed since.`])
    return true
  } catch (error) {
    signal.throwIfAborted()
    const why = error instanceof Error ? error.message : String(error)
    logged([`The work tree in the layer cannot be used, so it is cloned: ${why}`])
    return false
  }
}

async function readLayer({ setup, ...deps }: TakeCheckoutDeps): Promise<CheckoutLayer | undefined> {
  try {
    const text = await readFile(deps.checkoutLayer ?? SANDBOX_PATHS.checkoutLayer, 'utf8')
    const { data } = checkoutLayerSchema.safeParse(JSON.parse(text))
    return data?.name === setup.repository.name ? data : undefined
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT'
    if (!isMissing && !(error instanceof SyntaxError)) throw error
    return undefined
  }
}

/** Returns how many files differ. */
async function bringTo(
  { setup, workspace, variables, url }: TakeCheckoutDeps,
  layer: CheckoutLayer,
  signal: AbortSignal,
): Promise<number> {
  const { commit, branch } = setup.repository
  const git = createGitInside(join(workspace, layer.name), variables, signal)
  const own = `refs/heads/${branch}`
  // The branch tells the fetch what is there already.
  const [heads] = await Promise.all([
    git.text(['ls-remote', '--symref', url, 'HEAD']),
    git.text(['remote', 'add', 'origin', url]),
    git.text(['update-ref', '-m', 'branch: from a layer', own, layer.commit]),
  ])
  const fetch = ['fetch', '--quiet', '--tags', '--no-recurse-submodules', 'origin']
  await Promise.all([
    git.text(['-c', 'protocol.version=0', ...fetch]),
    git.text(['symbolic-ref', 'HEAD', own]),
  ])
  const head = /^ref: refs\/heads\/(\S+)\tHEAD$/m.exec(heads)?.[1]
  if (head !== undefined)
    await git.text(['symbolic-ref', 'refs/remotes/origin/HEAD', `refs/remotes/origin/${head}`])
  if (commit === layer.commit) return 0
  const changed = await findChanges(git, layer.commit, commit)
  if (changed.length > 0) await git.text(['read-tree', '-m', '-u', layer.commit, commit])
  await git.text(['update-ref', '-m', `reset: moving to ${commit}`, own, commit])
  return changed.length
}

/** What is in the layer has to be in the history of the session anyway, and written as the session would write it. */
async function findChanges(git: GitInside, from: string, to: string): Promise<string[]> {
  if (!(await git.succeeds(['cat-file', '-e', `${to}^{commit}`])))
    await git.text(['fetch', '--quiet', 'origin', to])
  if (!(await git.succeeds(['merge-base', '--is-ancestor', from, to])))
    throw new Error('It is of a commit that is not in the history of this one.')
  const changed = await git.names([
    'diff-tree',
    '-r',
    '-z',
    '--no-renames',
    '--name-only',
    from,
    to,
  ])
  if (changed.some((name) => name.toLowerCase().endsWith('.gitattributes')))
    throw new Error('How files are written has changed since.')
  return changed
}
