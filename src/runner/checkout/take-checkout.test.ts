// A work tree is made as for a layer, lies in another sandbox with other inode numbers, and becomes that of a session.
import {
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createSilentLogger } from '../../lib/logger.ts'
import { runChecked } from '../../lib/process.ts'
import type { RunnerReport } from '../../protocol/runner-frames.ts'
import { runCheckoutLayer } from './make-checkout-layer.ts'
import { type TakeCheckoutDeps, takeCheckout } from './take-checkout.ts'

const signal = new AbortController().signal
let root: string
let upstream: string
const env = () => ({ PATH: '/usr/local/bin:/usr/bin:/bin', HOME: root })
const git = async (cwd: string, ...args: string[]) =>
  (await runChecked('git', args, { cwd, env: env() })).trim()

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'errand-take-'))
  upstream = join(root, 'upstream')
  await git(root, 'init', '--quiet', '--initial-branch=main', 'upstream')
  await git(upstream, 'config', 'user.email', 'u@example.com')
  await git(upstream, 'config', 'user.name', 'U')
})
afterEach(() => rm(root, { recursive: true, maxRetries: 3 }))

async function commit(files: Record<string, string | null>): Promise<string> {
  for (const [path, text] of Object.entries(files)) {
    if (text === null) await rm(join(upstream, path))
    else {
      await mkdir(dirname(join(upstream, path)), { recursive: true })
      await writeFile(join(upstream, path), text)
    }
  }
  await git(upstream, 'add', '--all')
  await git(upstream, 'commit', '--quiet', '--message', 'change')
  return git(upstream, 'rev-parse', 'HEAD')
}

/** As in a sandbox that becomes a layer; returns what it reported. */
async function makeLayer(at: string): Promise<RunnerReport[]> {
  const reports: RunnerReport[] = []
  const place = {
    workspace: join(root, 'layer'),
    gitSource: upstream,
    checkoutLayer: join(root, 'layer', 'layer.json'),
  }
  const assignment = { kind: 'checkout' as const, name: 'repo', commit: at, limitMs: 60_000 }
  const report = (one: RunnerReport) => reports.push(one)
  await runCheckoutLayer(
    {
      ...{ assignment, generation: 1, place, report },
      // Whatever git makes of itself inside, this is of the kind of the repository.
      variables: { ...env(), GIT_DEFAULT_HASH: 'sha256' },
      log: createSilentLogger(),
    },
    signal,
  )
  return reports
}

/** Below another sandbox the files have other numbers and times of change. */
async function lieBelow(): Promise<void> {
  await cp(join(root, 'layer'), join(root, 'workspace'), {
    recursive: true,
    preserveTimestamps: true,
    verbatimSymlinks: true,
  })
}

const work = () => join(root, 'workspace', 'repo')

async function take(to: string, change: Partial<TakeCheckoutDeps> = {}) {
  const lines: string[] = []
  const repository = { name: 'repo', url: '', commit: to, branch: 'errand/x', baseBranch: 'main' }
  const isTaken = await takeCheckout(
    {
      ...{ setup: { repository }, workspace: join(root, 'workspace'), variables: env() },
      ...{ url: upstream, checkoutLayer: join(root, 'workspace', 'layer.json') },
      ...change,
    },
    (some) => lines.push(...some),
    signal,
  )
  return { isTaken, lines }
}

const ENDED = { type: 'setup.ended', exitCode: 0 }
/** So many that they come as a pack, and come as another one when they come again. */
const MANY = Object.fromEntries(Array.from({ length: 120 }, (_, n) => [`many/${n}`, `${n}`]))
const SOME = { 'a.txt': 'a\n', 'deep/b.txt': 'b\n', 'deep/gone.txt': 'gone\n' }

it('is taken as it lies when the commit is the same, with nothing to read again', async () => {
  const at = await commit(SOME)
  await git(upstream, 'tag', 'v1')
  await git(upstream, 'branch', 'side')
  expect(await makeLayer(at)).toEqual([ENDED])
  await lieBelow()
  // Had git to read the file, it would see that it is another one.
  const file = join(work(), 'a.txt')
  const { atime, mtime } = await stat(file)
  await writeFile(file, 'x\n')
  await utimes(file, atime, mtime)
  const { isTaken, lines } = await take(at)
  expect(isTaken).toBe(true)
  expect(lines).toEqual([
    `The work tree of ${at.slice(0, 12)} was taken from a layer: 0 files changed since.`,
  ])
  expect(await git(work(), 'status', '--porcelain')).toBe('')
  expect(await git(work(), 'branch', '--show-current')).toBe('errand/x')
  expect(await git(work(), 'rev-parse', 'HEAD', 'v1', 'origin/side', 'origin/HEAD')).toBe(
    [at, at, at, at].join('\n'),
  )
  expect(await git(work(), 'config', 'remote.origin.url')).toBe(upstream)
})

it('writes what has changed since, and nothing else', async () => {
  const before = await commit({ ...SOME, ...MANY })
  await makeLayer(before)
  await lieBelow()
  const untouched = await stat(join(work(), 'deep/b.txt'))
  const after = await commit({ 'a.txt': 'new\n', 'new/c.txt': 'c\n', 'deep/gone.txt': null })
  const { isTaken, lines } = await take(after)
  expect(isTaken).toBe(true)
  expect(lines.join()).toContain('3 files changed since')
  expect(await readFile(join(work(), 'a.txt'), 'utf8')).toBe('new\n')
  expect(
    (await readdir(work(), { recursive: true })).filter((name) => !name.startsWith('.git')),
  ).toEqual(expect.arrayContaining(['a.txt', 'deep', 'deep/b.txt', 'new', 'new/c.txt']))
  expect(await git(work(), 'ls-files', ':!many')).toBe('a.txt\ndeep/b.txt\nnew/c.txt')
  expect(await git(work(), 'status', '--porcelain')).toBe('')
  expect(await git(work(), 'rev-parse', 'HEAD')).toBe(after)
  // What was there did not come again.
  const packs = await readdir(join(work(), '.git/objects/pack'))
  expect(packs).toEqual(await readdir(join(root, 'layer/repo/.git/objects/pack')))
  expect((await stat(join(work(), 'deep/b.txt'))).ctimeMs).toBe(untouched.ctimeMs)
})

it('holds nothing but the history of its commit, and no hook that would run', async () => {
  const at = await commit(SOME)
  await git(upstream, 'checkout', '--quiet', '-b', 'other')
  const secret = await commit({ 'other.txt': 'of another branch\n' })
  await git(upstream, 'checkout', '--quiet', 'main')
  await makeLayer(at)
  const layer = join(root, 'layer', 'repo')
  await expect(git(layer, 'cat-file', '-e', secret)).rejects.toThrow()
  expect(await git(layer, 'for-each-ref')).toBe('')
  const hooks = await readdir(join(layer, '.git', 'hooks'))
  expect(hooks.filter((name) => !name.endsWith('.sample'))).toEqual([])
})

it('is not used for a commit that has it not in its history, or writes its files in another way', async () => {
  const first = await commit(SOME)
  await git(upstream, 'checkout', '--quiet', '-b', 'hostile')
  const hostile = await commit({ '.gitattributes': '* text eol=crlf\n', 'evil.sh': 'evil\n' })
  await makeLayer(hostile)
  await lieBelow()
  expect(await readFile(join(work(), 'evil.sh'), 'utf8')).toBe('evil\r\n')
  expect(await take(first)).toMatchObject({
    isTaken: false,
    lines: [expect.stringContaining('not in the history')],
  })
  await rm(join(work(), '.git', 'config'))
  await git(work(), 'init', '--quiet')
  const mended = await commit({ '.gitattributes': null })
  expect(await take(mended)).toMatchObject({
    isTaken: false,
    lines: [expect.stringContaining('How files are written')],
  })
})

it('is not made where a program would have to write the files', async () => {
  const at = await commit({ ...SOME, 'deep/.gitattributes': '*.bin -text filter=lfs\n' })
  const reports = await makeLayer(at)
  expect(reports).toEqual([
    expect.objectContaining({ lines: [expect.stringContaining('filter')] }),
    { type: 'setup.ended', exitCode: 1 },
  ])
})

it('is cloned where there is no layer, of another repository, or begun already', async () => {
  const at = await commit(SOME)
  expect(await take(at)).toEqual({ isTaken: false, lines: [] })
  await makeLayer(at)
  await lieBelow()
  const repository = { name: 'other', url: '', commit: at, branch: 'errand/x', baseBranch: null }
  expect(await take(at, { setup: { repository } })).toEqual({ isTaken: false, lines: [] })
  expect((await take(at)).isTaken).toBe(true)
  expect(await take(at)).toMatchObject({
    isTaken: false,
    lines: [expect.stringContaining('cloned')],
  })
})
