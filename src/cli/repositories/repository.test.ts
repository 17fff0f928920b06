import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { runChecked } from '../../lib/process.ts'
import type { Connection } from '../deps.ts'
import { fetchBranch } from './fetch-back.ts'
import { createGit, doorEnv } from './git.ts'
import { commitUncommitted, inspectRepository, isRemoteUrl, pushCommit } from './repository.ts'

// Where git is on every machine that runs these tests.
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

let folder: string
let root: string
let env: Record<string, string>
const sessionId = `s_${'a'.repeat(20)}`

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-cli-'))
  root = join(folder, 'project')
  env = { PATH, HOME: folder, GIT_AUTHOR_NAME: 'A', GIT_AUTHOR_EMAIL: 'a@b' }
  env = { ...env, GIT_COMMITTER_NAME: 'A', GIT_COMMITTER_EMAIL: 'a@b' }
  await git(folder, 'init', '--quiet', '--initial-branch=main', root)
  await mkdir(join(root, 'sub'))
  await writeFile(join(root, 'file'), 'one\n')
  await git(root, 'add', '.')
  await git(root, 'commit', '--quiet', '-m', 'first')
})
afterEach(() => rm(folder, { recursive: true }))

const git = async (cwd: string, ...args: string[]) =>
  (await runChecked('git', args, { cwd, env })).trim()
const inspect = (path: string, branch?: string) => inspectRepository(createGit(env), path, branch)
/** A server that is a folder: git takes a path for an address. */
const connection = () => ({ baseUrl: `file://${folder}/server`, token: 'errand_t' }) as Connection

async function makeServerRepository(path: string) {
  const bare = join(folder, 'server/api/v1/git', path)
  await git(folder, 'init', '--quiet', '--bare', bare)
  return bare
}

describe('a repository on the disk', () => {
  it('is found from a folder in it, with its commit, branch and origin', async () => {
    await git(root, 'remote', 'add', 'origin', 'https://user:secret@git.example.com/a/b.git')
    const found = await inspect(join(root, 'sub'))
    expect(found).toEqual({
      ...{ root, name: 'project', isBare: false, branch: 'main', uncommitted: [] },
      ...{
        commit: await git(root, 'rev-parse', 'HEAD'),
        origin: 'https://git.example.com/a/b.git',
      },
    })
  })

  it('names what is not committed and touches nothing by looking', async () => {
    await writeFile(join(root, 'file'), 'two\n')
    await writeFile(join(root, 'new file'), 'x')
    const index = await readFile(join(root, '.git/index'))
    expect((await inspect(root)).uncommitted).toEqual(['file', 'new file'])
    expect(await readFile(join(root, '.git/index'))).toEqual(index)
  })

  it('may be bare, detached, or another branch than the one that is checked out', async () => {
    const bare = join(folder, 'bare.git')
    await git(folder, 'clone', '--quiet', '--bare', root, bare)
    expect(await inspect(bare)).toMatchObject({ isBare: true, name: 'bare', uncommitted: [] })
    await git(root, 'branch', 'old')
    await writeFile(join(root, 'file'), 'two\n')
    expect(await inspect(root, 'old')).toMatchObject({ branch: 'old', uncommitted: [] })
    await git(root, 'checkout', '--quiet', '--detach')
    expect(await inspect(root)).toMatchObject({ branch: 'main', uncommitted: ['file'] })
  })

  it('has the branch by its own name, also where a tag has the same', async () => {
    await git(root, 'tag', 'main')
    expect(await inspect(root)).toMatchObject({ branch: 'main' })
  })

  it('is not fooled by variables of a surrounding git', async () => {
    env.GIT_DIR = '/nonexistent'
    expect(await inspect(root)).toMatchObject({ root })
  })

  it('says what is wrong', async () => {
    const empty = join(folder, 'empty')
    await git(folder, 'init', '--quiet', empty)
    await expect(inspect(empty)).rejects.toMatchObject({
      code: 'invalid',
      reason: 'empty_repository',
    })
    await expect(inspect(folder)).rejects.toMatchObject({
      code: 'not_found',
      reason: 'no_repository',
    })
    await expect(inspect(join(folder, 'no'))).rejects.toMatchObject({ reason: 'path_not_found' })
    await expect(inspect(root, 'no')).rejects.toMatchObject({
      code: 'not_found',
      reason: 'branch_not_found',
    })
    await expect(inspect(root, '--help')).rejects.toMatchObject({ reason: 'branch_invalid' })
    env.PATH = '/nonexistent'
    await expect(inspect(root)).rejects.toMatchObject({
      code: 'unavailable',
      reason: 'git_missing',
    })
  })

  it('is told from a URL', () => {
    const urls = ['https://a/b', 'ssh://a/b', 'git@github.com:a/b.git', 'git://a/b']
    const paths = ['.', '/a/b', 'a:b', 'file:///a', '../x', 'dir/a@b:c']
    expect(urls.map(isRemoteUrl)).toEqual(urls.map(() => true))
    expect(paths.map(isRemoteUrl)).toEqual(paths.map(() => false))
  })
})

describe('what is not committed', () => {
  it('becomes a commit that no branch names; index and work tree stay as they are', async () => {
    await writeFile(join(root, 'file'), 'staged\n')
    await git(root, 'add', 'file')
    await writeFile(join(root, 'file'), 'not staged\n')
    await writeFile(join(root, 'sub/new'), 'x')
    await writeFile(join(root, '.gitignore'), 'ignored\n')
    await writeFile(join(root, 'ignored'), 'x')
    const before = [await git(root, 'status', '--porcelain'), await git(root, 'for-each-ref')]
    const found = await inspect(root)
    const commit = await commitUncommitted(createGit(env), found)
    expect([await git(root, 'status', '--porcelain'), await git(root, 'for-each-ref')]).toEqual(
      before,
    )
    expect(await git(root, 'show', `${commit}:file`)).toBe('not staged')
    expect(await git(root, 'show', ':file')).toBe('staged')
    expect((await git(root, 'ls-tree', '-r', '--name-only', commit)).split('\n')).toEqual([
      ...['.gitignore', 'file', 'sub/new'],
    ])
    expect(await git(root, 'rev-parse', `${commit}^`)).toBe(found.commit)
  })

  it('can be committed where git knows no name', async () => {
    for (const name of Object.keys(env)) if (/^GIT_(AUTHOR|COMMITTER)/.test(name)) delete env[name]
    env.EMAIL = ''
    await git(root, 'config', 'user.useConfigOnly', 'true')
    await writeFile(join(root, 'file'), 'two\n')
    expect(await commitUncommitted(createGit(env), await inspect(root))).toMatch(/^[0-9a-f]{40}$/)
  })
})

describe('the way to the server and back', () => {
  it('pushes one commit without running hooks', async () => {
    const bare = await makeServerRepository('uploads/u')
    const hook = join(root, '.git/hooks/pre-push')
    await writeFile(hook, '#!/bin/sh\nexit 1\n', { mode: 0o755 })
    const { commit } = await inspect(root)
    const push = { root, commit, branch: 'main', gitPath: '/api/v1/git/uploads/u' }
    await pushCommit(createGit(env), connection(), env, push)
    expect(await git(bare, 'rev-parse', 'refs/heads/main')).toBe(commit)
  })

  it('sends the token in a header to this server alone, and not in arguments', async () => {
    const seen: (string | undefined)[] = []
    const server = createServer((request, response) => {
      seen.push(request.headers.authorization)
      response.writeHead(404).end()
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    env.GIT_CONFIG_COUNT = '1'
    env.GIT_CONFIG_KEY_0 = 'http.proxy'
    env.GIT_CONFIG_VALUE_0 = 'http://127.0.0.1:1'
    const push = { root, commit: 'HEAD', branch: 'main', gitPath: '/x' }
    const to = { baseUrl, token: 'errand_t' } as Connection
    await expect(pushCommit(createGit(env), to, env, push)).rejects.toMatchObject({
      reason: 'git_failed',
    })
    expect(seen).toContain('Bearer errand_t')
    const other = {
      env: { ...env, ...doorEnv(env, { baseUrl: 'http://127.0.0.1:2', token: 'errand_t' }) },
    }
    seen.length = 0
    env.GIT_CONFIG_COUNT = '0'
    await createGit(env).try(['ls-remote', `${baseUrl}/x`], {
      cwd: root,
      env: { ...other.env, NO_PROXY: '*' },
    })
    expect(seen.length).toBeGreaterThan(0)
    expect(seen.filter(Boolean)).toEqual([])
    await new Promise((resolve) => server.close(resolve))
  })

  it('goes through no proxy to an Errand on this machine, by whatever address it listens', async () => {
    const seen: (string | undefined)[] = []
    const server = createServer((request, response) => {
      seen.push(request.url)
      response.writeHead(404).end()
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.2', resolve))
    const baseUrl = `http://127.0.0.2:${(server.address() as AddressInfo).port}`
    env.http_proxy = 'http://127.0.0.1:1'
    const push = { root, commit: 'HEAD', branch: 'main', gitPath: '/x' }
    const to = { baseUrl, token: 'errand_t', isHere: true } as Connection
    await expect(pushCommit(createGit(env), to, env, push)).rejects.toThrow()
    expect(seen).toEqual(['/x/info/refs?service=git-receive-pack'])
    await new Promise((resolve) => server.close(resolve))
  })

  async function pushToSession(text: string, parent = 'main') {
    const bare = await makeServerRepository(`sessions/${sessionId}`)
    const work = join(folder, `work-${Math.random()}`)
    await git(folder, 'clone', '--quiet', '--branch', parent, root, work)
    await writeFile(join(work, 'file'), text)
    await git(work, 'commit', '--quiet', '-am', text)
    await git(work, 'push', '--quiet', '--force', bare, 'HEAD:refs/heads/errand/fix')
    return git(work, 'rev-parse', 'HEAD')
  }
  const repositoryOfSession = { branch: 'errand/fix', source: { kind: 'upload' } }
  const fetchBack = () =>
    fetchBranch(createGit(env), connection(), env, {
      root,
      session: { id: sessionId, repository: repositoryOfSession as never, additional: [] },
    })
  const refs = async () => (await git(root, 'for-each-ref', '--format=%(refname)')).split('\n')

  it('brings the branch back, checks nothing out and leaves no other reference', async () => {
    const commit = await pushToSession('fixed')
    expect(await fetchBack()).toEqual({ branch: 'errand/fix', commit, how: 'created' })
    expect(await fetchBack()).toEqual({ branch: 'errand/fix', commit, how: 'same' })
    expect(await refs()).toEqual(['refs/heads/errand/fix', 'refs/heads/main'])
    expect(await git(root, 'status', '--porcelain')).toBe('')
    expect(await readFile(join(root, 'file'), 'utf8')).toBe('one\n')
  })

  it('moves a branch forward, but neither sideways nor under a work tree', async () => {
    await pushToSession('fixed')
    await fetchBack()
    const next = await pushToSession('more', 'errand/fix')
    expect(await fetchBack()).toEqual({ branch: 'errand/fix', commit: next, how: 'updated' })
    const sideways = await pushToSession('other')
    expect(await fetchBack()).toEqual({ branch: 'errand/fix-2', commit: sideways, how: 'created' })
    await git(root, 'checkout', '--quiet', 'errand/fix-2')
    await git(root, 'branch', '--quiet', '-f', 'errand/fix', sideways)
    await git(root, 'checkout', '--quiet', 'errand/fix')
    const third = await pushToSession('third', 'errand/fix')
    await git(root, 'branch', '--quiet', '-D', 'errand/fix-2')
    expect(await fetchBack()).toEqual({ branch: 'errand/fix-2', commit: third, how: 'created' })
    expect(await git(root, 'rev-parse', 'errand/fix')).toBe(sideways)
  })

  it('brings it back under a name that can stand beside a branch called as the folder of its own', async () => {
    const commit = await pushToSession('fixed')
    await git(root, 'branch', 'errand')
    expect(await fetchBack()).toEqual({ branch: 'errand-fix', commit, how: 'created' })
    expect(await fetchBack()).toEqual({ branch: 'errand-fix', commit, how: 'same' })
  })

  it('says that nothing was pushed', async () => {
    await makeServerRepository(`sessions/${sessionId}`)
    await expect(fetchBack()).rejects.toMatchObject({
      code: 'not_found',
      reason: 'branch_not_pushed',
    })
  })
})
