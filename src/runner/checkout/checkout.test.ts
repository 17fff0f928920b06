import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { runChecked } from '../../lib/process.ts'
import { askedAtDoor, doorUrl, submoduleDoorUrl } from '../../protocol/git-door.ts'
import type { RunnerSetup } from '../../protocol/runner-frames.ts'
import { openStateFile } from '../state-file.ts'
import { type CheckoutRequest, makeCheckout } from './checkout.ts'
import { gitConfig, rewriting } from './git-config.ts'

const signal = new AbortController().signal
let root: string
let deps: CheckoutRequest
const env = () => deps.variables
const run = async (cwd: string, ...args: string[]) =>
  (await runChecked('git', args, { cwd, env: env() })).trim()
const work = () => join(root, 'workspace', 'repo')

const setupFor = (change: Partial<RunnerSetup['repository']>): RunnerSetup => ({
  sessionId: 's_abcdefghijklmnopqrst',
  repository: {
    name: 'repo',
    url: 'http://forge.example/a/repo',
    commit: 'HEAD',
    branch: 'errand/x',
    baseBranch: null,
    ...change,
  },
  variables: {},
  identity: { name: 'Ann "the\\ Coder"', email: 'ann@example.com' },
  sessionUrl: null,
})

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'errand-checkout-'))
  deps = {
    setup: setupFor({}),
    isFirst: true,
    workspace: join(root, 'workspace'),
    gitConfigPath: join(root, 'gitconfig'),
    source: join(root, 'upstream'),
    stateFolder: join(root, 'state'),
    state: openStateFile(join(root, 'state', 'state.json')),
    variables: {
      PATH: '/usr/local/bin:/usr/bin:/bin',
      HOME: root,
      GIT_CONFIG_SYSTEM: join(root, 'gitconfig'),
    },
  }
  await runChecked('git', ['init', '--quiet', '--initial-branch=main', 'upstream'], {
    cwd: root,
    env: env(),
  })
  const upstream = join(root, 'upstream')
  await run(upstream, 'config', 'user.email', 'u@example.com')
  await run(upstream, 'config', 'user.name', 'U')
  for (const text of ['one', 'two']) {
    await writeFile(join(upstream, 'file'), text)
    await run(upstream, 'add', '--all')
    await run(upstream, 'commit', '--quiet', '-m', text)
  }
  deps.setup = setupFor({ commit: await run(upstream, 'rev-parse', 'HEAD~1') })
})
afterEach(() => rm(root, { recursive: true }))

describe('makeCheckout', () => {
  it('checks out the commit on the own branch, without an upstream, with the true URL', async () => {
    expect(await makeCheckout(deps, () => undefined, signal)).toBe('made')
    expect(await readFile(join(work(), 'file'), 'utf8')).toBe('one')
    expect(await run(work(), 'branch', '--show-current')).toBe('errand/x')
    expect(await run(work(), 'config', 'remote.origin.url')).toBe('http://forge.example/a/repo')
    expect(await run(work(), 'for-each-ref', '--format=%(upstream)', 'refs/heads/errand/x')).toBe(
      '',
    )
    expect(await run(work(), 'config', 'user.name')).toBe('Ann "the\\ Coder"')
    await symlink(join(root, 'upstream'), join(root, 'upstream.git'))
    await run(work(), 'fetch', 'http://forge.example/a/repo.git', 'main')
  })

  it('goes through the door for an https address too, and leaves nothing of that behind', async () => {
    const url = 'https://forge.example/a/repo'
    const { commit } = deps.setup.repository
    deps.setup = setupFor({ url, commit })
    expect(await makeCheckout(deps, () => undefined, signal)).toBe('made')
    expect(await run(work(), 'remote', '-v')).toBe(`origin\t${url} (fetch)\norigin\t${url} (push)`)
    expect(await run(work(), 'config', '--list')).not.toMatch(/insteadof/i)
  })

  it('lets a plain git push go to the own branch', async () => {
    await makeCheckout(deps, () => undefined, signal)
    await run(work(), 'commit', '--quiet', '--allow-empty', '-m', 'mine')
    await run(work(), 'push')
    expect(await run(join(root, 'upstream'), 'log', '-1', '--format=%s', 'errand/x')).toBe('mine')
  })

  it('keeps a finished checkout, and makes a broken one again', async () => {
    await makeCheckout(deps, () => undefined, signal)
    await writeFile(join(work(), 'mine'), 'x')
    expect(await makeCheckout(deps, () => undefined, signal)).toBe('kept')
    expect(await readFile(join(work(), 'mine'), 'utf8')).toBe('x')
    deps.state.set({ checkout: null })
    expect(await makeCheckout(deps, () => undefined, signal)).toBe('made')
    expect(await run(work(), 'status', '--porcelain')).toBe('')
  })

  it('goes on from what was pushed when the sandbox was lost', async () => {
    await makeCheckout(deps, () => undefined, signal)
    await run(work(), 'commit', '--quiet', '--allow-empty', '-m', 'mine')
    await run(work(), 'push')
    deps.state.set({ checkout: null })
    deps.isFirst = false
    await makeCheckout(deps, () => undefined, signal)
    expect(await run(work(), 'log', '-1', '--format=%s')).toBe('mine')
    expect(await run(work(), 'for-each-ref', '--format=%(upstream)', 'refs/heads/errand/x')).toBe(
      '',
    )
  })

  it('says what git said', async () => {
    deps.setup = setupFor({ commit: '1'.repeat(40) })
    const lines: string[] = []
    const failed = makeCheckout(deps, (more) => lines.push(...more), signal)
    await expect(failed).rejects.toMatchObject({ reason: 'checkout_failed' })
    expect(lines.join('\n')).toContain('1'.repeat(40))
  })
})

describe('gitConfig', () => {
  it('cannot be broken out of', async () => {
    const setup = setupFor({ url: 'http://x.example/"]\n[core]\n\tsshCommand = evil' })
    const path = join(root, 'other')
    await writeFile(
      path,
      gitConfig(setup, [{ url: setup.repository.url, source: 'http://door/git' }]),
    )
    const list = await run(root, 'config', '--file', path, '--list')
    expect(list).not.toMatch(/^core\./m)
    expect(list).toContain(
      'url.http://door/git.insteadof=http://x.example/"][core]sshCommand = evil',
    )
  })

  it.each([
    'http://forge.example/team/',
    'git@forge.example:team/',
    'ssh://git@forge.example:2222/team/',
  ])('leads to the door so that every address of %s is known again there', async (team) => {
    const path = join(root, 'rewrites')
    const state = {
      repository: { url: `${team}shop.git` },
      additional: [{ name: 'repository-2', url: `${team}lib` }],
    } as Parameters<typeof askedAtDoor>[0]
    const submodule = `${team}module.git`
    const sources = [
      { url: state.repository.url, source: doorUrl() },
      { url: `${team}lib`, source: doorUrl('repository-2') },
      { url: submodule, source: submoduleDoorUrl(submodule) },
    ]
    await writeFile(path, sources.flatMap(rewriting).join('\n'))
    deps.variables = { ...deps.variables, GIT_CONFIG_SYSTEM: path }
    const known = async (address: string) => {
      const url = new URL(await run(root, 'ls-remote', '--get-url', address))
      const asked = askedAtDoor(state, `${url.pathname}/info/refs`)
      return asked?.kind === 'own' ? asked.repository : asked
    }
    for (const end of ['', '/', '.git', '.git/']) {
      expect(await known(`${team}shop${end}`)).toBe(state.repository)
      expect(await known(`${team}lib${end}`)).toBe(state.additional[0])
      expect(await known(`${team}module${end}`)).toEqual({ kind: 'submodule', url: submodule })
    }
    for (const end of ['-old', '.git-old', '-old.git', '.git-old.git', '-2', '/sub', '.gitx'])
      for (const name of ['shop', 'lib', 'module']) {
        const url = `${team}${name}${end}`
        expect(await known(url)).toEqual({ kind: 'other', url })
      }
  })

  it('rewrites nothing when there is no URL', () => {
    expect(gitConfig(setupFor({}), [{ url: '', source: 'http://door/git' }])).not.toContain(
      'insteadOf',
    )
  })
})
