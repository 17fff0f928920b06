// A work tree saved by one sandbox and restored by another, with real git and every kind of file; only the agent is missing.
import { existsSync } from 'node:fs'
import {
  chmod,
  lstat,
  mkdir,
  mkdtemp,
  readFile,
  readlink,
  rename,
  rm,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createSampleRepository, gitEnvironment } from '../../../demo/repository.ts'
import { createSilentLogger } from '../../lib/logger.ts'
import { runChecked } from '../../lib/process.ts'
import type { RunnerReport } from '../../protocol/runner-frames.ts'
import { SAVED_CONVERSATION_REF, SAVED_WORK_REF } from '../../protocol/saved-refs.ts'
import {
  type Checkout,
  type CheckoutDeps,
  makeCheckout,
  savedPlaces,
} from '../checkout/checkout.ts'
import { throughDoor } from '../checkout/git-config.ts'
import { BRANCH, setupFor } from '../place.fixture.ts'
import { failOnDisk } from '../state-file.fixture.ts'
import { openStateFile } from '../state-file.ts'
import { createSaver, type Saver } from './saver.ts'

interface Sandbox {
  deps: CheckoutDeps
  checkout: string
  saver: Saver
  reports: RunnerReport[]
  git(...args: string[]): Promise<string>
  write(name: string, content: string): Promise<void>
  read(name: string): Promise<string>
}

const signal = new AbortController().signal
let root: string
let upstream: string
let commit: string
let sandboxes: Sandbox[]

const refs = () => runChecked('git', ['-C', upstream, 'for-each-ref', 'refs/errand'])

/** A disk of its own, empty; the checkout lies at the same path in each, as it does inside. */
async function openSandbox(): Promise<Sandbox> {
  const disk = join(root, 'disk')
  await rm(disk, { recursive: true, force: true })
  const gitConfigPath = join(disk, 'gitconfig')
  const setup = setupFor(commit)
  const deps: CheckoutDeps = {
    setup,
    workspace: join(disk, 'workspace'),
    gitConfigPath,
    stateFolder: join(disk, 'state'),
    state: openStateFile(join(disk, 'state', 'state.json'), failOnDisk),
    source: upstream,
    variables: throughDoor(
      {
        ...gitEnvironment(),
        HOME: join(disk, 'home'),
        // Whatever git makes of itself inside, this is of the kind of the repository.
        GIT_DEFAULT_HASH: 'sha256',
        GIT_CONFIG_NOSYSTEM: '0',
        GIT_CONFIG_SYSTEM: gitConfigPath,
      },
      { url: setup.repository.url, source: upstream },
    ),
  }
  const checkout = join(disk, 'workspace', setup.repository.name)
  const reports: RunnerReport[] = []
  const saver = createSaver({
    places: savedPlaces(deps),
    additional: [],
    state: deps.state,
    report: (item) => reports.push(item),
    log: createSilentLogger(),
    everyMs: 60_000,
  })
  const sandbox = {
    deps,
    checkout,
    saver,
    reports,
    git: async (...args: string[]) =>
      (await runChecked('git', args, { cwd: checkout, env: deps.variables })).trimEnd(),
    write: async (name: string, content: string) => {
      await mkdir(join(checkout, name, '..'), { recursive: true })
      await writeFile(join(checkout, name), content)
    },
    read: (name: string) => readFile(join(checkout, name), 'utf8'),
  }
  sandboxes.push(sandbox)
  return sandbox
}

async function start(): Promise<Sandbox & { outcome: Checkout }> {
  const sandbox = await openSandbox()
  const outcome = await makeCheckout({ ...sandbox.deps, isFirst: false }, () => undefined, signal)
  return { ...sandbox, outcome }
}

async function save(sandbox: Sandbox): Promise<void> {
  const before = await refs()
  await sandbox.saver.save()
  expect(await refs()).not.toBe(before)
  await sandbox.saver.stop()
}

const textOf = (outcome: Checkout) => (typeof outcome === 'string' ? outcome : outcome.text)

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'errand-saved-'))
  sandboxes = []
  const sample = await createSampleRepository(join(root, 'sample'))
  commit = sample.commit
  upstream = join(root, 'upstream.git')
  const env = gitEnvironment()
  await runChecked('git', ['clone', '--quiet', '--bare', sample.path, upstream], { env })
})
afterEach(async () => {
  for (const { saver } of sandboxes) await saver.stop()
  await rm(root, { recursive: true, force: true })
})

describe('a work tree', () => {
  it('comes back with every kind of change, as uncommitted as it was', async () => {
    const first = await start()
    expect(first.outcome).toBe('made')
    await first.write('.gitignore', 'ignored/\nforced.txt\n')
    await first.git('add', '.gitignore')
    await first.git('commit', '--quiet', '-m', 'not pushed')
    await first.write('src/money.js', 'changed\n')
    await first.write('deep/er/untracked.txt', 'untracked\n')
    await first.write('line\nbreak "and" ünï.txt', 'named\n')
    await first.write('ignored/not-this.txt', 'x')
    await first.write('forced.txt', 'forced\n')
    await first.git('add', '--force', 'forced.txt')
    await first.write('run.sh', '#!/bin/sh\n')
    await chmod(join(first.checkout, 'run.sh'), 0o755)
    await symlink('src/money.js', join(first.checkout, 'link'))
    await symlink('nowhere', join(first.checkout, 'dangling'))
    await rename(join(first.checkout, 'README.md'), join(first.checkout, 'READ.md'))
    await rm(join(first.checkout, 'CLAUDE.md'))
    const bytes = Buffer.from([0, 255, 13, 10, 13])
    await writeFile(Buffer.concat([Buffer.from(`${first.checkout}/b`), Buffer.from([0xe4])]), bytes)
    const status = (sandbox: Sandbox) =>
      sandbox.git('status', '--porcelain', '--untracked-files=all')
    await first.git('reset', '--quiet')
    const before = await status(first)
    const head = await first.git('rev-parse', 'HEAD')
    const index = await readFile(join(first.checkout, '.git', 'index'))
    await save(first)
    expect(await readFile(join(first.checkout, '.git', 'index'))).toEqual(index)
    expect(await first.git('for-each-ref', 'refs/errand')).toBe('')

    const second = await start()
    expect(textOf(second.outcome)).toContain('was lost and replaced')
    expect(await status(second)).toBe(before)
    expect(await second.git('rev-parse', 'HEAD')).toBe(head)
    expect(await second.git('symbolic-ref', 'HEAD')).toBe(`refs/heads/${BRANCH}`)
    expect(await second.read('line\nbreak "and" ünï.txt')).toBe('named\n')
    expect((await lstat(join(second.checkout, 'run.sh'))).mode & 0o111).toBe(0o111)
    expect(await readlink(join(second.checkout, 'link'))).toBe('src/money.js')
    expect(await readlink(join(second.checkout, 'dangling'))).toBe('nowhere')
    expect(existsSync(join(second.checkout, 'CLAUDE.md'))).toBe(false)
    expect(existsSync(join(second.checkout, 'ignored'))).toBe(false)
    const raw = Buffer.concat([Buffer.from(`${second.checkout}/b`), Buffer.from([0xe4])])
    expect(await readFile(raw)).toEqual(bytes)
  })

  it('keeps what is staged though it is ignored, and forgets what is ignored later', async () => {
    const first = await start()
    await first.write('.gitignore', 'forced.txt\n')
    await first.write('forced.txt', 'forced\n')
    await first.git('add', '--force', 'forced.txt', '.gitignore')
    await first.write('built/later.txt', 'x')
    await save(first)
    const tree = () =>
      runChecked('git', ['-C', upstream, 'ls-tree', '-r', '--name-only', SAVED_WORK_REF])
    expect(await tree()).toContain('built/later.txt')
    await first.write('.gitignore', 'forced.txt\nbuilt\n')
    const again = { ...first, saver: createSaver(saverDeps(first)) }
    await save(again)
    expect(await tree()).not.toContain('built')
    expect(await tree()).toContain('forced.txt')
  })

  it('is saved though the save before was killed in the middle', async () => {
    const first = await start()
    const { store } = savedPlaces(first.deps)
    await first.write('one.txt', '1')
    await save(first)
    for (const name of ['index.lock', 'conversation-index.lock', 'repository.git/config.lock'])
      await writeFile(join(store, name), '')
    await first.write('two.txt', '2')
    await save({ ...first, saver: createSaver(saverDeps(first)) })
    const tree = ['ls-tree', '--name-only', SAVED_WORK_REF]
    expect(await runChecked('git', ['-C', upstream, ...tree])).toContain('two.txt')
  })

  it('comes back with branches, stash, a detached HEAD and a merge in progress', async () => {
    const first = await start()
    await first.git('checkout', '--quiet', '-b', 'other')
    await first.write('src/money.js', 'other\n')
    await first.git('commit', '--quiet', '--all', '-m', 'other')
    await first.git('checkout', '--quiet', BRANCH)
    await first.write('src/money.js', 'mine\n')
    await first.git('commit', '--quiet', '--all', '-m', 'mine')
    for (const text of ['older', 'newer']) {
      await first.write('src/money.js', `${text}\n`)
      await first.git('stash', 'push', '--quiet', '-m', text)
    }
    await first.git('merge', 'other').catch(() => undefined)
    expect(await first.read('src/money.js')).toContain('<<<<<<<')
    const facts = async (sandbox: Sandbox) => ({
      branches: await sandbox.git(
        'for-each-ref',
        '--format=%(refname) %(objectname)',
        'refs/heads',
      ),
      stash: await sandbox.git('stash', 'list'),
      merging: await sandbox.git('rev-parse', 'MERGE_HEAD'),
    })
    const before = await facts(first)
    await save(first)
    const second = await start()
    expect(await facts(second)).toEqual(before)
    expect(await second.read('src/money.js')).toContain('<<<<<<<')
    expect(textOf(second.outcome)).toContain('in progress')

    await second.git('reset', '--hard', '--quiet')
    await second.git('checkout', '--quiet', '--detach', 'other')
    const detached = await second.git('rev-parse', 'HEAD')
    await save(second)
    const third = await start()
    await expect(third.git('symbolic-ref', '--quiet', 'HEAD')).rejects.toThrow()
    expect(await third.git('rev-parse', 'HEAD')).toBe(detached)

    await third.git('rebase', '--quiet', 'other', BRANCH).catch(() => undefined)
    await save(third)
    expect(textOf((await start()).outcome)).toContain(`A rebase of ${BRANCH} was in progress`)
  })

  it('comes back with branches that stand where the clone has one', async () => {
    const first = await start()
    await first.git('branch', '-D', 'main')
    await first.git('branch', 'main/one')
    await first.write('untracked.txt', 'mine')
    await save(first)
    const second = await start()
    expect(await second.git('for-each-ref', '--format=%(refname:short)', 'refs/heads')).toBe(
      `${BRANCH}\nmain/one`,
    )
    expect(await second.git('branch', '--show-current')).toBe(BRANCH)
    expect(await second.git('status', '--porcelain')).toBe('?? untracked.txt')
  })

  it('goes on from later pushes with what was uncommitted', async () => {
    const first = await start()
    await first.write('untracked.txt', 'untracked\n')
    await first.write('both.txt', 'early\n')
    await save(first)
    await first.write('both.txt', 'late\n')
    await first.git('add', 'both.txt')
    await first.git('commit', '--quiet', '-m', 'later')
    await first.git('push', '--quiet')
    const second = await start()
    expect(await second.git('log', '-1', '--format=%s')).toBe('later')
    expect(await second.read('both.txt')).toBe('late\n')
    expect(await second.git('status', '--porcelain')).toBe('?? untracked.txt')
  })

  it('tolerates repositories inside of it and submodules', async () => {
    const first = await start()
    await first.write('nested/inner/file.txt', 'nested\n')
    const nested = (...args: string[]) => first.git('-C', 'nested', ...args)
    await nested('init', '--quiet')
    await first.write('nested/.gitignore', 'skip\n')
    await first.write('nested/skip', 'x')
    await nested('add', '--all')
    await nested('commit', '--quiet', '-m', 'nested')
    await first.write('nested/more.txt', 'not committed\n')
    await first.git('init', '--quiet', 'empty')
    await first.git('init', '--quiet', '--object-format=sha1', 'größe')
    await first.git('-C', 'größe', 'commit', '--quiet', '--allow-empty', '-m', 'inside')
    await first.write('größe/new.txt', 'new\n')
    await first.git('add', 'größe')
    const allow = ['-c', 'protocol.file.allow=always']
    await first.git(...allow, 'submodule', '--quiet', 'add', upstream, 'sub')
    await first.git('commit', '--quiet', '-m', 'submodule')
    await save(first)
    const second = await start()
    expect(await second.read('nested/inner/file.txt')).toBe('nested\n')
    expect(await second.read('nested/more.txt')).toBe('not committed\n')
    expect(existsSync(join(second.checkout, 'nested', 'skip'))).toBe(false)
    expect(existsSync(join(second.checkout, 'nested', '.git'))).toBe(true)
    expect(textOf(second.outcome)).toContain('nested was a repository of its own')
    expect(textOf(second.outcome)).toContain('größe was a repository of its own')
    expect(await second.git('status', '--porcelain', 'größe')).toBe('')
    for (const name of ['sub', 'größe'])
      expect(await second.git('ls-files', '--stage', name)).toMatch(/^160000/)
    await second.write('nested/again.txt', 'again\n')
    await save(second)
    expect(await (await start()).read('nested/again.txt')).toBe('again\n')
  })

  it('leaves out what is too large, and says so once', async () => {
    const first = await start()
    await first.write('small.txt', 'small\n')
    await first.write('large.bin', '')
    await truncate(join(first.checkout, 'large.bin'), 51 << 20)
    await save(first)
    const notices = first.reports.filter(({ type }) => type === 'agent.notice')
    expect(notices).toMatchObject([
      { kind: 'not_saved', text: expect.stringContaining('large.bin') },
    ])
    const second = await start()
    expect(existsSync(join(second.checkout, 'large.bin'))).toBe(false)
    expect(await second.read('small.txt')).toBe('small\n')
  })

  it('is saved but for a file that git cannot take, and says which', async () => {
    const first = await start()
    await first.write('.gitattributes', '*.rc working-tree-encoding=UTF-16\n')
    await first.write('menu.rc', 'no UTF-16')
    for (const name of ['before.txt', 'z/after.txt', '*.rc.txt']) await first.write(name, 'mine')
    await rm(join(first.checkout, 'package.json'))
    await save(first)
    const notices = first.reports.filter(({ type }) => type === 'agent.notice')
    expect(notices).toMatchObject([
      { kind: 'not_saved', text: expect.stringMatching(/committed: menu\.rc$/) },
    ])
    const second = await start()
    for (const name of ['before.txt', 'z/after.txt', '*.rc.txt'])
      expect(await second.read(name)).toBe('mine')
    expect(existsSync(join(second.checkout, 'package.json'))).toBe(false)
    expect(existsSync(join(second.checkout, 'menu.rc'))).toBe(false)
  })

  it('is saved as it lies there, past the filters of the repository', async () => {
    const first = await start()
    await first.git('config', 'filter.other.clean', 'echo pointer')
    await first.git('config', 'filter.other.smudge', 'false')
    await first.git('config', 'filter.other.required', 'true')
    await first.write('.gitattributes', '*.dat filter=other\n')
    await first.write('a.dat', 'the content\n')
    await save(first)
    const shown = ['-C', upstream, 'show', `${SAVED_WORK_REF}:a.dat`]
    expect(await runChecked('git', shown)).toBe('the content\n')
  })
})

const saverDeps = ({ deps, reports }: Sandbox) => ({
  places: savedPlaces(deps),
  additional: [],
  state: deps.state,
  report: (item: RunnerReport) => reports.push(item),
  log: createSilentLogger(),
  everyMs: 60_000,
})

describe('a conversation', () => {
  it('comes back whole, of a transcript that grew only the end is new', async () => {
    const first = await start()
    const home = join(first.deps.variables.HOME ?? '', '.claude')
    const transcript = join(home, 'projects', '-work', 'c1.jsonl')
    const line = `${JSON.stringify({ uuid: '1', text: 'x'.repeat(1000) })}\n`
    await mkdir(join(home, 'projects', '-work', 'c1', 'subagents'), { recursive: true })
    await writeFile(transcript, line.repeat(600))
    await writeFile(join(home, 'projects', '-work', 'c1', 'subagents', 'a.jsonl'), line)
    first.deps.state.set({ conversationId: 'c1', pushPending: true })
    await save(first)
    const pieces = async () => {
      const args = ['-C', upstream, 'ls-tree', '-r', SAVED_CONVERSATION_REF]
      return (await runChecked('git', args)).trim().split('\n')
    }
    const before = await pieces()
    await writeFile(transcript, `${line}{"torn":`, { flag: 'a' })
    await save({ ...first, saver: createSaver(saverDeps(first)) })
    const fresh = (await pieces()).filter((piece) => !before.includes(piece))
    expect(fresh.length).toBe(1)

    const second = await start()
    expect(second.deps.state.get()).toMatchObject({ conversationId: 'c1', pushPending: true })
    expect(await readFile(transcript, 'utf8')).toBe(line.repeat(601))
    expect(await readFile(join(home, 'projects/-work/c1/subagents/a.jsonl'), 'utf8')).toBe(line)
    expect(second.deps.state.get().transcriptFrom).toBe(line.length * 601)
  })
})
