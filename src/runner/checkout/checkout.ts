// Makes the work tree of a session: git's configuration inside, a clone through the door, the session's own branch, or what
// a lost sandbox had saved; from a layer where there is one. Runs once per sandbox; a checkout that was not finished is
// made again from nothing.
import { existsSync } from 'node:fs'
import { appendFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { backoffMs } from '../../lib/backoff.ts'
import { delay } from '../../lib/deadline.ts'
import { ProcessError, runProcess } from '../../lib/process.ts'
import { AppError } from '../../protocol/errors.ts'
import { doorUrl } from '../../protocol/git-door.ts'
import { SANDBOX_PATHS } from '../../protocol/network.ts'
import type { RunnerSetup } from '../../protocol/runner-frames.ts'
import type { Variables } from '../agent/agent-environment.ts'
import { claudeHome } from '../agent/transcript.ts'
import { type Restored, restore } from '../saving/restore.ts'
import type { StateFile } from '../state-file.ts'
import { gitConfig, including, throughDoor } from './git-config.ts'
import { bringLargeFiles, hasGitLfs, WITHOUT_LARGE_FILES } from './large-files.ts'
import { clearLocks } from './stale-locks.ts'
import { bringSubmodules } from './submodules.ts'
import { takeCheckout } from './take-checkout.ts'

const MOST_RETRIES = 4
const RETRY = { firstMs: 250, mostMs: 4_000 }

export interface CheckoutDeps {
  setup: RunnerSetup
  workspace: string
  /** /etc/gitconfig inside a sandbox. */
  gitConfigPath: string
  variables: Variables
  state: StateFile
  /** Where the runner keeps what is its own. */
  stateFolder: string
  /** Where git really fetches from; the door unless told. */
  source?: string
  /** The same of an additional repository. */
  additionalSource?: (name: string) => string
  /** What a layer says of the work tree that it holds; its usual place unless told. */
  checkoutLayer?: string
}

export interface CheckoutRequest extends CheckoutDeps {
  /** No sandbox of this session has been here before: nothing can have been saved or pushed. */
  isFirst: boolean
}

export function checkoutFolder({ setup, workspace }: Pick<CheckoutDeps, 'setup' | 'workspace'>) {
  return join(workspace, setup.repository.name)
}

/** Where the ways to submodules on ssh are kept, a part of git's configuration. */
export function submoduleRewrites({ stateFolder }: Pick<CheckoutDeps, 'stateFolder'>): string {
  return join(stateFolder, 'submodules.gitconfig')
}

/** What a saver and a restored sandbox work with. */
export function savedPlaces(deps: CheckoutDeps) {
  const { variables, source = doorUrl(), stateFolder } = deps
  const store = join(stateFolder, 'saved')
  return { folder: checkoutFolder(deps), source, variables, store, home: claudeHome(variables) }
}

/**
 * `kept`: a finished checkout was there already. `made`: from the commit, or from what was pushed. `taken`: from a layer, and
 * nothing but the commit's files is in it.
 */
export type Checkout = 'kept' | 'made' | 'taken' | Restored

/** `logged` gets git's own words. */
export async function makeCheckout(
  deps: CheckoutRequest,
  logged: (lines: string[]) => void,
  signal: AbortSignal,
): Promise<Checkout> {
  const folder = checkoutFolder(deps)
  const rewrites = submoduleRewrites(deps)
  await writeGitConfig(deps, rewrites)
  const { url, commit, branch } = deps.setup.repository
  const repository = { url, commit, branch, source: deps.source ?? doorUrl(), pushes: true }
  const places = savedPlaces(deps)
  const one: OneCheckout = {
    ...{ folder, repository, variables: deps.variables, isFirst: deps.isFirst, rewrites },
    isFinished: () => deps.state.get().checkout === folder,
    finished: () => deps.state.set({ checkout: folder }),
    restore: (limit) => restore({ places, ownBranch: branch, state: deps.state }, limit),
  }
  const variables = throughDoor(deps.variables, repository)
  const layered = { ...deps, variables, url: url || repository.source }
  if (deps.isFirst && !one.isFinished() && (await takeCheckout(layered, logged, signal))) {
    one.finished()
    await bringSubmodules({ folder, variables: deps.variables, rewrites }, logged, signal)
    // A setup script may have left files in the folder.
    return existsSync(SANDBOX_PATHS.setup) ? 'made' : 'taken'
  }
  return await checkOut(one, logged, signal)
}

/** What the image or its setup script set for the whole system stays, and gives way to what is said here. */
async function writeGitConfig(deps: CheckoutDeps, more: string): Promise<void> {
  const { gitConfigPath, stateFolder, setup, variables } = deps
  const own = join(stateFolder, 'gitconfig')
  await mkdir(stateFolder, { recursive: true })
  await writeFile(own, gitConfig(setup, { more, hasLfs: hasGitLfs(variables) }))
  await mkdir(dirname(gitConfigPath), { recursive: true })
  const theirs = existsSync(gitConfigPath) ? await readFile(gitConfigPath, 'utf8') : ''
  const include = including(own)
  if (!theirs.includes(include)) await appendFile(gitConfigPath, `\n${include}\n`)
}

export interface OneCheckout {
  folder: string
  repository: {
    url: string
    source: string
    commit: string
    /** The local branch that is checked out. */
    branch: string
    /** It is the session's own, which may have been pushed. */
    pushes: boolean
  }
  variables: Variables
  rewrites: string
  isFirst: boolean
  isFinished(): boolean
  finished(): void
  /** Of what a lost sandbox saved; undefined when there is nothing. */
  restore(signal: AbortSignal): Promise<Restored | undefined>
}

/** The same for every repository of a session. What breaks on the way is tried again: a program of Errand may have died. */
export async function checkOut(
  one: OneCheckout,
  logged: (lines: string[]) => void,
  signal: AbortSignal,
): Promise<Checkout> {
  const gitFolder = join(one.folder, '.git')
  if (one.isFinished() && existsSync(gitFolder)) {
    // What worked in it ended with the sandbox that it ran in, perhaps in the middle of a commit.
    await clearLocks(gitFolder)
    return 'kept'
  }
  for (let attempt = 0; ; attempt++) {
    try {
      return await checkOutAnew(one, logged, signal)
    } catch (error) {
      if (!(error instanceof ProcessError)) throw error
      const words = error.result.stderr.trim() || error.message
      if (attempt === MOST_RETRIES || !isBrokenConnection(words))
        throw new AppError('unavailable', 'checkout_failed', words, { cause: error })
      logged(['The connection to the repository broke: it is cloned again.'])
      await delay(backoffMs(RETRY, attempt, Math.random()), signal)
    }
  }
}

async function checkOutAnew(
  { folder, repository, isFirst, ...place }: OneCheckout,
  logged: (lines: string[]) => void,
  signal: AbortSignal,
): Promise<Checkout> {
  const { url, source, commit, branch } = repository
  const inside = throughDoor(place.variables, repository)
  const variables = { ...inside, ...WITHOUT_LARGE_FILES }
  const git = async (args: string[], cwd: string, settings: string[] = []) => {
    const command = [...settings.flatMap((setting) => ['-c', setting]), ...args]
    const result = await runProcess('git', command, { cwd, env: variables, signal })
    const words = `${result.stdout}${result.stderr}`.trim()
    if (words !== '') logged(words.split('\n').slice(-100))
    if (result.exitCode !== 0) throw new ProcessError(`git ${args[0]}`, result)
    return result.stdout.trim()
  }
  await rm(folder, { recursive: true, force: true })
  await mkdir(dirname(folder), { recursive: true })
  // Everything is wanted anyway: version 0 says so in one round trip less.
  const clone = ['clone', '--no-checkout', '--', url || source, folder]
  await git(clone, dirname(folder), ['protocol.version=0'])
  if (!(await hasCommit(folder, commit, variables)))
    await git(['fetch', '--quiet', 'origin', commit], folder)
  const restored = isFirst ? undefined : await place.restore(signal)
  if (!restored) {
    const isNew = isFirst || !repository.pushes
    const start = isNew ? commit : await startingPoint(folder, repository, variables)
    await git(['checkout', '--quiet', '--no-track', '-B', branch, start, '--'], folder)
  }
  place.finished()
  await bringLargeFiles({ folder, variables: inside }, logged, signal)
  await bringSubmodules({ folder, ...place }, logged, signal)
  return restored ?? 'made'
}

/** git's words for an answer that ended before its end, or never came. */
function isBrokenConnection(words: string): boolean {
  return /unexpected disconnect|hung up|early EOF|bad pack header|RPC failed|(?:Recv|Send) failure|Empty reply|transfer closed|Connection (?:reset|refused|timed out)|Failed to connect|returned error: 5\d\d/i.test(
    words,
  )
}

/** A sandbox that was lost is made again from what the session had pushed. */
async function startingPoint(
  folder: string,
  { branch, commit }: OneCheckout['repository'],
  variables: Variables,
): Promise<string> {
  const pushed = `refs/remotes/origin/${branch}`
  const result = await runProcess('git', ['merge-base', '--is-ancestor', commit, pushed], {
    cwd: folder,
    env: variables,
  })
  return result.exitCode === 0 ? pushed : commit
}

/** A tip stands in a file that git has just written: no program has to be asked. */
async function hasCommit(folder: string, commit: string, env: Variables): Promise<boolean> {
  const tips = await readFile(join(folder, '.git/packed-refs'), 'utf8').catch(() => '')
  if (tips.split('\n').some((line) => line.startsWith(`${commit} `))) return true
  const result = await runProcess('git', ['cat-file', '-e', `${commit}^{commit}`], {
    cwd: folder,
    env,
  })
  return result.exitCode === 0
}
