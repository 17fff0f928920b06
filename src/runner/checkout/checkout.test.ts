import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { runChecked } from '../../lib/process.ts'
import { askedAtDoor, rewrittenSubmoduleUrl, rewrittenUrl } from '../../protocol/git-door.ts'
import type { RunnerSetup } from '../../protocol/runner-frames.ts'
import { SAVED_WORK_REF } from '../../protocol/saved-refs.ts'
import { failOnDisk } from '../state-file.fixture.ts'
import { openStateFile } from '../state-file.ts'
import { type CheckoutRequest, makeCheckout } from './checkout.ts'
import { gitConfig, rewriting, throughDoor } from './git-config.ts'

const signal = new AbortController().signal
let root: string
let deps: CheckoutRequest
const env = () => deps.variables
const run = async (cwd: string, ...args: string[]) =>
  (await runChecked('git', args, { cwd, env: env() })).trim()
const work = () => join(root, 'workspace', 'repo')
/** As a program inside, whose pushes the gateway leads to the door. */
const push = async () => {
  const at = { url: deps.setup.repository.url, source: join(root, 'upstream') }
  await runChecked('git', ['push'], { cwd: work(), env: throughDoor(env(), at) })
}

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
    state: openStateFile(join(root, 'state', 'state.json'), failOnDisk),
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
afterEach(() => rm(root, { recursive: true, maxRetries: 3 }))

/** git over HTTP, as little of it as a clone asks for. */
function uploadPack(args: string[]) {
  return spawn('git', ['upload-pack', '--stateless-rpc', ...args], {
    stdio: ['pipe', 'pipe', 'ignore'],
  })
}

function listRefs(upstream: string, response: ServerResponse): void {
  response.setHeader('content-type', 'application/x-git-upload-pack-advertisement')
  response.write('001e# service=git-upload-pack\n0000')
  uploadPack(['--advertise-refs', upstream]).stdout.pipe(response)
}

function sendPack(upstream: string, request: IncomingMessage): Readable {
  const { stdin, stdout } = uploadPack([upstream])
  const isZipped = request.headers['content-encoding'] === 'gzip'
  if (isZipped) request.pipe(createGunzip()).pipe(stdin)
  else request.pipe(stdin)
  return stdout
}

function breakOff(pack: Readable, response: ServerResponse): void {
  pack.once('data', (chunk: Buffer) =>
    response.write(chunk.subarray(0, 20), () => response.socket?.destroy()),
  )
}

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
  })

  it.each(['https://forge.example/a/repo.git', 'http://forge.example/a/repo'])(
    'goes through the door for %s, and leaves nothing of that behind',
    async (url) => {
      const { commit } = deps.setup.repository
      deps.setup = setupFor({ url, commit })
      expect(await makeCheckout(deps, () => undefined, signal)).toBe('made')
      expect(await run(work(), 'remote', '-v')).toBe(
        `origin\t${url} (fetch)\norigin\t${url} (push)`,
      )
      expect(await run(work(), 'config', '--list')).not.toMatch(/insteadof/i)
    },
  )

  it('shows one .git and what it is of an ssh address, which leads to the door', async () => {
    const url = 'git@forge.example:a/repo.git'
    deps.setup = setupFor({ url, commit: deps.setup.repository.commit })
    expect(await makeCheckout(deps, () => undefined, signal)).toBe('made')
    expect(await run(work(), 'config', 'remote.origin.url')).toBe(url)
    expect(await run(work(), 'remote', 'get-url', 'origin')).toBe(`${rewrittenUrl()}.git`)
  })

  it('lets a plain git push go to the own branch', async () => {
    await makeCheckout(deps, () => undefined, signal)
    await run(work(), 'commit', '--quiet', '--allow-empty', '-m', 'mine')
    await push()
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

  it('takes the locks away that a commit left which was killed with its sandbox', async () => {
    await makeCheckout(deps, () => undefined, signal)
    const locks = ['index.lock', 'HEAD.lock', 'refs/heads/errand/other.lock']
    for (const name of locks) {
      const path = join(work(), '.git', name)
      await mkdir(dirname(path), { recursive: true })
      await writeFile(path, '')
    }
    expect(await makeCheckout(deps, () => undefined, signal)).toBe('kept')
    await writeFile(join(work(), 'mine'), 'x')
    await run(work(), 'add', 'mine')
    await run(work(), 'commit', '--quiet', '-m', 'mine')
    await run(work(), 'branch', 'errand/other')
  })

  it('goes on from what was pushed when the sandbox was lost', async () => {
    await makeCheckout(deps, () => undefined, signal)
    await run(work(), 'commit', '--quiet', '--allow-empty', '-m', 'mine')
    await push()
    deps.state.set({ checkout: null })
    deps.isFirst = false
    await makeCheckout(deps, () => undefined, signal)
    expect(await run(work(), 'log', '-1', '--format=%s')).toBe('mine')
    expect(await run(work(), 'for-each-ref', '--format=%(upstream)', 'refs/heads/errand/x')).toBe(
      '',
    )
  })

  describe('from a server whose answers break off', () => {
    /** Answers break off as long as `breaks` says, which is asked with each. */
    async function serve(breaks: () => boolean): Promise<string> {
      const upstream = join(root, 'upstream')
      const server = createServer((request, response) => {
        if (request.method === 'GET') listRefs(upstream, response)
        else if (breaks()) breakOff(sendPack(upstream, request), response)
        else sendPack(upstream, request).pipe(response)
      })
      await once(server.listen(0, '127.0.0.1'), 'listening')
      onTestFinished(() => void server.close())
      return `http://127.0.0.1:${(server.address() as AddressInfo).port}/repo`
    }

    it('is cloned again', async () => {
      let left = 2
      deps.source = await serve(() => left-- > 0)
      const lines: string[] = []
      expect(await makeCheckout(deps, (more) => lines.push(...more), signal)).toBe('made')
      expect(await readFile(join(work(), 'file'), 'utf8')).toBe('one')
      expect(lines.filter((line) => line.includes('cloned again'))).toHaveLength(2)
    })

    it('is asked again for what a lost sandbox has saved', async () => {
      const upstream = join(root, 'upstream')
      const saved = await run(upstream, 'commit-tree', 'HEAD^{tree}', '-m', 'saved')
      await run(upstream, 'update-ref', SAVED_WORK_REF, saved)
      let asked = 0
      // The second is for what was saved: the branches are there with the first.
      deps.source = await serve(() => ++asked === 2)
      deps.isFirst = false
      expect(await makeCheckout(deps, () => undefined, signal)).toBe('made')
      expect(asked).toBe(4)
    })

    it('fails with what git said when that goes on', async () => {
      let asked = 0
      deps.source = await serve(() => ++asked > 0)
      const failed = makeCheckout(deps, () => undefined, signal)
      await expect(failed).rejects.toMatchObject({
        reason: 'checkout_failed',
        message: expect.stringContaining('disconnect'),
      })
      expect(asked).toBe(5)
    })

    it('is given up at once when it is told to', async () => {
      const stop = new AbortController()
      deps.source = await serve(() => true)
      const told = (lines: string[]) => {
        if (lines.some((line) => line.includes('cloned again'))) stop.abort(new Error('stop'))
      }
      await expect(makeCheckout(deps, told, stop.signal)).rejects.toThrow('stop')
    })
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
    const setup = setupFor({ url: 'git@x.example:"]\n[core]\n\tsshCommand = evil' })
    const path = join(root, 'other')
    await writeFile(path, gitConfig(setup))
    const list = await run(root, 'config', '--file', path, '--list')
    expect(list).not.toMatch(/^core\./m)
    expect(list).toContain(
      `url.${rewrittenUrl()}.insteadof=git@x.example:"][core]sshCommand = evil`,
    )
  })

  it.each(['git@forge.example:team/', 'ssh://git@forge.example:2222/team/'])(
    'leads to the door so that every address of %s is known again there',
    async (team) => {
      const path = join(root, 'rewrites')
      // The names of those elsewhere are what addresses beside those here end with.
      const elsewhere = [
        'lib-old',
        'lib.git-old',
        'shop-old',
        'repository-old',
        'submodule',
        'lib.git',
      ]
      const state = {
        repository: { url: `${team}shop.git` },
        additional: [
          { name: 'lib', url: `${team}lib` },
          ...elsewhere.map((name) => ({ name, url: `https://other.example/${name}` })),
        ],
      } as Parameters<typeof askedAtDoor>[0]
      const submodule = `${team}module.git`
      const lines = [
        ...rewriting(state.repository.url, rewrittenUrl()),
        ...rewriting(`${team}lib`, rewrittenUrl('lib')),
        ...rewriting(submodule, rewrittenSubmoduleUrl(submodule)),
      ]
      await writeFile(path, lines.join('\n'))
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
    },
  )

  it('rewrites nothing when there is no URL', () => {
    expect(gitConfig(setupFor({ url: '' }))).not.toContain('insteadOf')
  })
})
