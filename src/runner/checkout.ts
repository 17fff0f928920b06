// Makes the work tree of a session: git's configuration inside, a clone through the door, the session's own branch, or what
// a lost sandbox had saved. Runs once per sandbox; a checkout that was not finished is made again from nothing.
import { existsSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { ProcessError, runProcess } from '../lib/process.ts'
import { AppError } from '../protocol/errors.ts'
import { DOOR_HOST } from '../protocol/network.ts'
import type { RunnerSetup } from '../protocol/runner-frames.ts'
import type { Variables } from './agent-environment.ts'
import { type Restored, restore } from './restore.ts'
import type { StateFile } from './state-file.ts'
import { claudeHome } from './transcript.ts'

const DOOR_REPOSITORY = `http://${DOOR_HOST}/git/repository.git`

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
}

export interface CheckoutRequest extends CheckoutDeps {
  /** No sandbox of this session has been here before: nothing can have been saved or pushed. */
  isFirst: boolean
}

export function checkoutFolder({ setup, workspace }: Pick<CheckoutDeps, 'setup' | 'workspace'>) {
  return join(workspace, setup.repository.name)
}

/** What a saver and a restored sandbox work with. */
export function savedPlaces(deps: CheckoutDeps) {
  const { variables, source = DOOR_REPOSITORY, stateFolder } = deps
  const store = join(stateFolder, 'saved')
  return { folder: checkoutFolder(deps), source, variables, store, home: claudeHome(variables) }
}

/** `kept`: a finished checkout was there already. `made`: from the commit, or from what was pushed. */
type Checkout = 'kept' | 'made' | Restored

/** `logged` gets git's own words. */
export async function makeCheckout(
  deps: CheckoutRequest,
  logged: (lines: string[]) => void,
  signal: AbortSignal,
): Promise<Checkout> {
  const folder = checkoutFolder(deps)
  const { url, commit, branch } = deps.setup.repository
  const source = deps.source ?? DOOR_REPOSITORY
  await mkdir(dirname(deps.gitConfigPath), { recursive: true })
  await writeFile(deps.gitConfigPath, gitConfig(deps.setup, source))
  if (deps.state.get().checkout === folder && existsSync(join(folder, '.git'))) return 'kept'

  const git = async (args: string[], cwd: string, settings: string[] = []) => {
    const command = [...settings.flatMap((setting) => ['-c', setting]), ...args]
    const result = await runProcess('git', command, { cwd, env: deps.variables, signal })
    const words = `${result.stdout}${result.stderr}`.trim()
    if (words !== '') logged(words.split('\n').slice(-100))
    if (result.exitCode !== 0) throw new ProcessError(`git ${args[0]}`, result)
    return result.stdout.trim()
  }
  await rm(folder, { recursive: true, force: true })
  await mkdir(deps.workspace, { recursive: true })
  try {
    // Everything is wanted anyway: version 0 says so in one round trip less.
    const clone = ['clone', '--no-checkout', '--', url || source, folder]
    await git(clone, deps.workspace, ['protocol.version=0'])
    if (!(await hasCommit(folder, commit, deps.variables)))
      await git(['fetch', '--quiet', 'origin', commit], folder)
    const restored = deps.isFirst
      ? undefined
      : await restore({ ...deps, places: savedPlaces(deps), ownBranch: branch }, signal)
    if (!restored) {
      const start = deps.isFirst ? commit : await startingPoint(folder, deps)
      await git(['checkout', '--quiet', '--no-track', '-B', branch, start, '--'], folder)
    }
    deps.state.set({ checkout: folder })
    return restored ?? 'made'
  } catch (error) {
    if (!(error instanceof ProcessError)) throw error
    const words = error.result.stderr.trim() || error.message
    throw new AppError('unavailable', 'checkout_failed', words, { cause: error })
  }
}

/** Traffic goes through the door while `remote.origin.url` keeps saying the true URL. */
export function gitConfig({ repository, identity }: RunnerSetup, source: string): string {
  const { url } = repository
  const spellings = url === '' ? [] : [url, `${url}/`, url.endsWith('.git') ? '' : `${url}.git`]
  const rewrites = spellings
    .filter((spelling) => spelling !== '')
    .map((spelling) => `\tinsteadOf = ${quote(spelling)}`)
  return [
    '[user]',
    `\tname = ${quote(identity.name)}`,
    `\temail = ${quote(identity.email)}`,
    ...(rewrites.length > 0 ? [`[url ${quote(source)}]`, ...rewrites] : []),
    '[safe]',
    '\tdirectory = *',
    '[push]',
    '\tdefault = current',
    '[init]',
    '\tdefaultBranch = main',
    '[advice]',
    '\tdetachedHead = false',
    '',
  ].join('\n')
}

/** A value of git's configuration syntax; control characters cannot be written in one and are dropped. */
function quote(value: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must go.
  const printable = value.replace(/[\u0000-\u001f\u007f]/g, '')
  return `"${printable.replace(/["\\]/g, '\\$&')}"`
}

/** A sandbox that was lost is made again from what the session had pushed. */
async function startingPoint(folder: string, { setup, variables }: CheckoutDeps): Promise<string> {
  const { branch, commit } = setup.repository
  const pushed = `refs/remotes/origin/${branch}`
  const result = await runProcess('git', ['merge-base', '--is-ancestor', commit, pushed], {
    cwd: folder,
    env: variables,
  })
  return result.exitCode === 0 ? pushed : commit
}

async function hasCommit(folder: string, commit: string, env: Variables): Promise<boolean> {
  const result = await runProcess('git', ['cat-file', '-e', `${commit}^{commit}`], {
    cwd: folder,
    env,
  })
  return result.exitCode === 0
}
