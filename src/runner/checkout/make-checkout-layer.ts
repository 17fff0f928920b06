// Makes the work tree of a commit in a sandbox that is kept as a layer: git alone, with no configuration, hook or filter but
// its own, and nothing of the repository but the history of that commit. What comes of it is said by the commit's id.
import { mkdir, utimes, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Logger } from '../../lib/logger.ts'
import { runChecked, runProcess } from '../../lib/process.ts'
import { doorUrl } from '../../protocol/git-door.ts'
import { SANDBOX_PATHS } from '../../protocol/network.ts'
import type { CheckoutAssignment, RunnerReport } from '../../protocol/runner-frames.ts'
import type { Variables } from '../agent/agent-environment.ts'
import { CHECKOUT_LAYER_FORMAT, type CheckoutLayer } from './take-checkout.ts'

/** Nothing of an image or a user has a say in what the files look like. */
const ALONE = {
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_ATTR_NOSYSTEM: '1',
  GIT_TERMINAL_PROMPT: '0',
}
const SETTINGS = [
  ...['-c', 'core.hooksPath=/dev/null', '-c', 'core.attributesFile=/dev/null'],
  ...['-c', 'core.fsmonitor=false', '-c', 'maintenance.auto=false', '-c', 'gc.auto=0'],
]
const LINE_CHARS = 2_000
const SHA1_CHARS = 40

export interface CheckoutLayerDeps {
  assignment: CheckoutAssignment
  generation: number
  place: { workspace: string; gitSource?: string; checkoutLayer?: string }
  variables: Variables
  report: (report: RunnerReport) => void
  log: Logger
}

/** Resolves once its end is reported; after an abort without a word, since the sandbox is going away. */
export async function runCheckoutLayer(
  deps: CheckoutLayerDeps,
  signal: AbortSignal,
): Promise<void> {
  const { assignment, generation, report, log } = deps
  const limit = AbortSignal.timeout(assignment.limitMs)
  let exitCode: number | null = 0
  try {
    await makeCheckoutLayer(deps, AbortSignal.any([signal, limit]))
  } catch (error) {
    log.warn({ err: error }, 'the work tree could not be made')
    const words = error instanceof Error ? error.message : String(error)
    const lines = words.split('\n').map((line) => line.slice(0, LINE_CHARS))
    report({ type: 'phase.logged', phase: 'checkout', generation, lines: lines.slice(-20) })
    exitCode = limit.aborted ? null : 1
  }
  if (!signal.aborted) report({ type: 'setup.ended', exitCode })
}

async function makeCheckoutLayer(
  { assignment, place, variables }: CheckoutLayerDeps,
  signal: AbortSignal,
): Promise<void> {
  const { name, commit } = assignment
  const { workspace, gitSource = doorUrl(), checkoutLayer } = place
  const folder = join(workspace, name)
  const env = { ...variables, ...ALONE }
  const run = (...args: string[]) => ({ args: [...SETTINGS, ...args], cwd: folder, env, signal })
  const git = async (...given: string[]) => {
    const { args, ...options } = run(...given)
    await runChecked('git', args, options)
  }
  await mkdir(folder, { recursive: true })
  // Of the same kind as the repository, whatever git makes by itself.
  await git(
    'init',
    '--quiet',
    `--object-format=${commit.length === SHA1_CHARS ? 'sha1' : 'sha256'}`,
  )
  await git('fetch', '--quiet', '--no-tags', '--no-write-fetch-head', '--', gitSource, commit)
  await git('update-ref', '--no-deref', 'HEAD', commit)
  const { args, ...options } = run('grep', '--quiet', '-E', FILTER, commit, '--', ATTRIBUTES)
  if ((await runProcess('git', args, options)).exitCode !== 1)
    throw new Error('A program of the session has to write its files: they have a filter.')
  await git('read-tree', '-m', '-u', 'HEAD')
  // Git keeps in the index which folders hold nothing that is untracked, and opens only those that have changed since.
  await git('update-index', '--untracked-cache')
  await git('status', '--porcelain')
  // Files of the second in which the index was written would be read again by every `git status`.
  const later = Date.now() / 1_000 + 1
  await utimes(join(folder, '.git/index'), later, later)
  // In another sandbox the files have other numbers and times of change, and the same sizes and times of writing.
  await git('config', 'core.checkStat', 'minimal')
  await git('config', 'core.trustctime', 'false')
  const made: CheckoutLayer = { format: CHECKOUT_LAYER_FORMAT, name, commit }
  const file = checkoutLayer ?? SANDBOX_PATHS.checkoutLayer
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, JSON.stringify(made))
}

const FILTER = '[[:space:]]filter(=|[[:space:]]|$)'
const ATTRIBUTES = ':(glob,icase)**/.gitattributes'
