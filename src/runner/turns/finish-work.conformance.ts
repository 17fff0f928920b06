import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { runChecked, runProcess } from '../../lib/process.ts'
import { commitMessage, type FinishDeps, finishWork, takeSnapshot } from './finish-work.ts'

const BRANCH = 'errand/test'
const signal = new AbortController().signal
const variables = {
  PATH: '/usr/local/bin:/usr/bin:/bin',
  HOME: '/nonexistent',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_AUTHOR_NAME: 'A',
  GIT_AUTHOR_EMAIL: 'a@example.com',
  GIT_COMMITTER_NAME: 'A',
  GIT_COMMITTER_EMAIL: 'a@example.com',
}

let root: string
let folder: string
let deps: FinishDeps

const git = async (...args: string[]) =>
  (await runChecked('git', args, { cwd: folder, env: variables })).trim()
const outside = (...args: string[]) => git('-C', join(root, 'upstream.git'), ...args)
const write = (name: string, text: string) => writeFile(join(folder, name), text)
const hasPushed = async () => (await outside('branch', '--list', BRANCH)) !== ''

/** One turn: what `work` does between the snapshot and the end. */
async function turn(work: () => Promise<unknown>, more: { pushPending?: boolean } = {}) {
  const before = await takeSnapshot(deps, signal)
  await work()
  const all = { prompt: 'Do the thing\nand more', before, pushPending: false, ...more }
  return finishWork(deps, all, signal)
}
const nothing = async () => undefined
const rest = { pushPending: false, isUncommitted: false }
const quiet = { notices: [], ...rest }

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'errand-finish-'))
  folder = join(root, 'work')
  await mkdir(folder)
  await git('init', '--quiet', '--initial-branch=main')
  await write('.gitignore', 'build/\n')
  await write('kept.txt', 'one\n')
  await git('add', '--all')
  await git('commit', '--quiet', '-m', 'Start')
  await git('clone', '--quiet', '--bare', folder, join(root, 'upstream.git'))
  await git('remote', 'add', 'origin', join(root, 'upstream.git'))
  await git('fetch', '--quiet', 'origin')
  await git('checkout', '--quiet', '-b', BRANCH)
  deps = { folder, branch: BRANCH, baseCommit: await git('rev-parse', 'HEAD'), variables }
})
afterEach(() => rm(root, { recursive: true, force: true }))

describe('finishWork', () => {
  it('makes no commit and no push when nothing was changed', async () => {
    expect(await turn(nothing)).toEqual(quiet)
    expect(await hasPushed()).toBe(false)
  })

  it('commits changed, new and removed files and pushes them', async () => {
    await write('gone.txt', 'x')
    await turn(async () => {
      await write('kept.txt', 'two\n')
      await write('new.txt', 'new\n')
      await mkdir(join(folder, 'build'))
      await write('build/out', 'ignored')
      await rm(join(folder, 'gone.txt'))
    })
    expect(await outside('log', '--format=%s', BRANCH)).toBe('Do the thing\nStart')
    expect(await outside('ls-tree', '--name-only', BRANCH)).toBe('.gitignore\nkept.txt\nnew.txt')
    expect(await git('status', '--porcelain')).toBe('')
  })

  it('commits and pushes past the lock of a commit that was killed in the turn', async () => {
    const outcome = await turn(async () => {
      await write('new.txt', 'new\n')
      await write('.git/index.lock', '')
    })
    expect(outcome).toEqual(quiet)
    expect(await outside('log', '--format=%s', BRANCH)).toBe('Do the thing\nStart')
  })

  it('says that nothing was committed while another git is at work', async () => {
    const other = spawn('git', ['hash-object', '--stdin'], { cwd: folder, stdio: 'pipe' })
    const ended = once(other, 'close')
    try {
      const outcome = await turn(async () => {
        await write('new.txt', 'new\n')
        await write('.git/index.lock', '')
      })
      expect(outcome.notices.map(({ kind }) => kind)).toEqual(['commit'])
      expect(outcome.notices[0]?.text).toMatch(/could not be committed.[\s\S]*index\.lock/)
      expect(existsSync(join(folder, '.git', 'index.lock'))).toBe(true)
    } finally {
      other.stdin.end()
      await ended
    }
  })

  it('leaves alone what was there before and was not touched', async () => {
    await write('by-hand.txt', 'mine')
    expect(await turn(nothing)).toEqual(quiet)
    expect(await git('status', '--porcelain')).toBe('?? by-hand.txt')
    expect(await hasPushed()).toBe(false)
  })

  it('has nothing to commit where the agent took back what was there before', async () => {
    await write('by-hand.txt', 'mine')
    expect(await turn(() => rm(join(folder, 'by-hand.txt')))).toEqual(quiet)
    expect(await git('rev-parse', 'HEAD')).toBe(deps.baseCommit)
    expect(await hasPushed()).toBe(false)
  })

  it('sees a new commit of a submodule, and not what is changed in there', async () => {
    const inner = join(folder, 'inner')
    await git('init', '--quiet', inner)
    await git('-C', inner, 'commit', '--quiet', '--allow-empty', '-m', 'First')
    await turn(() => git('submodule', 'add', '--quiet', './inner'))
    await turn(() => git('-C', inner, 'commit', '--quiet', '--allow-empty', '-m', 'Second'))
    const told = await git('-C', inner, 'rev-parse', 'HEAD')
    expect(await outside('rev-parse', `${BRANCH}:inner`)).toBe(told)
    await turn(() => writeFile(join(inner, 'new.txt'), 'not of this repository'))
    expect(await outside('log', '--format=%s', BRANCH)).toBe('Do the thing\nDo the thing\nStart')
  })

  it('says once what a submodule holds that nobody else has', async () => {
    const inner = join(folder, 'inner')
    await git('init', '--quiet', '--bare', '--initial-branch=main', join(root, 'library.git'))
    await git('clone', '--quiet', join(root, 'library.git'), inner)
    const commit = ['-C', inner, 'commit', '--quiet', '--allow-empty', '-m', 'More']
    await git(...commit)
    await git('-C', inner, 'push', '--quiet', 'origin', 'HEAD:main')
    await git('submodule', 'add', '--quiet', join(root, 'library.git'), 'inner')
    expect(await turn(() => write('kept.txt', 'two'))).toEqual(quiet)

    const edited = await turn(() => writeFile(join(inner, 'new.txt'), 'x'))
    const words = 'inner: files that are not committed in it (new.txt)'
    const told = [{ kind: 'commit', text: expect.stringContaining(words) }]
    expect(edited).toEqual({ notices: told, ...rest })
    expect(await turn(() => write('kept.txt', 'three'))).toEqual(quiet)
    const committed = await turn(async () => {
      await git('-C', inner, 'add', '--all')
      await git(...commit)
    })
    expect(committed.notices[0]?.text).toMatch(
      /^inner: 1 of its commits on no branch of its remote$/m,
    )
    expect(await turn(() => write('kept.txt', 'four'))).toEqual(quiet)
    await git('-C', inner, 'push', '--quiet', 'origin', 'HEAD:main')
    expect(await turn(nothing)).toEqual(quiet)
  })

  it('makes no submodule without an address of a repository inside, and keeps one that is there already', async () => {
    const known = join(folder, 'known')
    await git('init', '--quiet', known)
    await git('-C', known, 'commit', '--quiet', '--allow-empty', '-m', 'First')
    await git('add', 'known')
    await git('commit', '--quiet', '-m', 'By a person')
    await turn(async () => {
      await git('worktree', 'add', '--quiet', '-b', 'other', join(folder, 'a', 'other ä'))
      await git('-C', known, 'commit', '--quiet', '--allow-empty', '-m', 'Second')
      await write('new.txt', 'new')
    })
    const links = (await outside('ls-tree', '-r', BRANCH))
      .split('\n')
      .filter((line) => /^160000/.test(line))
    expect(links).toEqual([`160000 commit ${await git('-C', known, 'rev-parse', 'HEAD')}\tknown`])
    expect(await outside('show', `${BRANCH}:new.txt`)).toBe('new')
  })

  it('commits the others where a repository inside has no commit yet, also beside what was there before', async () => {
    await write('by-hand.txt', 'mine')
    const finished = await turn(async () => {
      await git('init', '--quiet', join(folder, 'empty'))
      await write('new.txt', 'new')
    })
    expect(finished.pushPending).toBe(false)
    expect(await outside('show', `${BRANCH}:new.txt`)).toBe('new')
  })

  it('says once that files of a repository inside are not in the branch, with or without a commit there', async () => {
    const inner = join(folder, 'inner')
    const finished = await turn(async () => {
      await git('init', '--quiet', inner)
      await write('inner/a.txt', 'not in the branch')
    })
    const notice = { kind: 'commit', text: expect.stringContaining("'inner/'") }
    expect(finished).toEqual({ notices: [notice], ...rest })
    expect(await hasPushed()).toBe(false)
    expect(await turn(nothing)).toEqual(quiet)
    const committed = await turn(async () => {
      await git('-C', inner, 'add', '--all')
      await git('-C', inner, 'commit', '--quiet', '-m', 'Inside')
    })
    expect(committed).toEqual({ notices: [notice], ...rest })
    expect(await turn(() => write('kept.txt', 'two'))).toEqual(quiet)
    expect(await outside('ls-tree', '--name-only', BRANCH)).toBe('.gitignore\nkept.txt')
  })

  it('commits changes that are too many to be told', async () => {
    const name = (index: number) => `${'x'.repeat(200)}${index}`
    await turn(() => Promise.all(Array.from({ length: 5_500 }, (_, at) => write(name(at), 'x'))))
    expect(await outside('rev-list', '--count', BRANCH)).toBe('2')
    expect(await git('status', '--porcelain')).toBe('')
  })

  it('sees a change within a file that was already changed', async () => {
    await write('kept.txt', 'by hand\n')
    await turn(() => write('kept.txt', 'by agent\n'))
    expect(await outside('show', `${BRANCH}:kept.txt`)).toBe('by agent')
  })

  it('pushes what the agent committed itself, and nothing twice', async () => {
    const commit = async () => {
      await write('new.txt', 'x')
      await git('add', '--all')
      await git('commit', '--quiet', '-m', 'By the agent')
    }
    expect(await turn(commit)).toEqual(quiet)
    expect(await outside('log', '-1', '--format=%s', BRANCH)).toBe('By the agent')
    const pushed = await turn(async () => {
      await write('more.txt', 'x')
      await git('add', '--all')
      await git('commit', '--quiet', '-m', 'Pushed by the agent')
      await git('push', '--quiet', 'origin', BRANCH)
      await git('remote', 'set-url', 'origin', '/nonexistent')
    })
    expect(pushed).toEqual(quiet)
  })

  it('tells why a push was refused, and tries again at the end of the next turn', async () => {
    const hook = join(root, 'upstream.git', 'hooks', 'pre-receive')
    await mkdir(join(root, 'upstream.git', 'hooks'), { recursive: true })
    await writeFile(hook, '#!/bin/sh\necho "only on weekdays" >&2\nexit 1\n')
    await chmod(hook, 0o755)
    const refused = await turn(() => write('new.txt', 'x'))
    expect(refused.pushPending).toBe(true)
    expect(refused.notices).toMatchObject([{ kind: 'push' }])
    expect(refused.notices[0]?.text).toContain('only on weekdays')
    await rm(hook)
    expect(await turn(nothing, { pushPending: true })).toEqual(quiet)
    expect(await hasPushed()).toBe(true)
  })

  it('pushes again when there was no answer', async () => {
    deps.pushAgain = { firstMs: 1, mostMs: 1 }
    const fails = `test -e ${root}/asked || { touch ${root}/asked; exit 1; }`
    await git('config', 'remote.origin.receivepack', `${fails}; git-receive-pack`)
    expect(await turn(() => write('new.txt', 'x'))).toEqual(quiet)
    expect(existsSync(join(root, 'asked'))).toBe(true)
    expect(await hasPushed()).toBe(true)
  })

  it('gives up when there is no answer again and again, and keeps it in mind', async () => {
    deps.pushAgain = { firstMs: 1, mostMs: 1 }
    await git('remote', 'set-url', 'origin', '/nonexistent')
    const outcome = await turn(() => write('new.txt', 'x'))
    expect(outcome.pushPending).toBe(true)
    expect(outcome.notices[0]?.text).toContain('/nonexistent')
  })

  it('does not let hooks of the repository lose the work', async () => {
    const hooks = join(folder, '.git', 'hooks')
    await mkdir(hooks, { recursive: true })
    const refusing = ['pre-commit', 'prepare-commit-msg', 'commit-msg', 'pre-push']
    for (const name of [...refusing, 'reference-transaction']) {
      await writeFile(join(hooks, name), '#!/bin/sh\nexit 1\n')
      await chmod(join(hooks, name), 0o755)
    }
    // What a hook leaves in the background holds the pipes of git.
    await writeFile(join(hooks, 'post-commit'), `#!/bin/sh\ntouch ${root}/called\n`)
    await chmod(join(hooks, 'post-commit'), 0o755)
    expect(await turn(() => write('new.txt', 'x'))).toEqual(quiet)
    expect(await hasPushed()).toBe(true)
    expect(existsSync(join(root, 'called'))).toBe(false)
  })

  it('does not break a merge in progress', async () => {
    const outcome = await turn(async () => {
      await git('checkout', '--quiet', '-b', 'other')
      await write('kept.txt', 'other\n')
      await git('commit', '--quiet', '--all', '-m', 'Other')
      await git('checkout', '--quiet', BRANCH)
      await write('kept.txt', 'mine\n')
      await git('commit', '--quiet', '--all', '-m', 'Mine')
      const merge = await runProcess('git', ['merge', 'other'], { cwd: folder, env: variables })
      expect(merge.exitCode).toBe(1)
    })
    expect(outcome.notices[0]?.text).toContain('MERGE_HEAD')
    expect(await git('status', '--porcelain')).toBe('UU kept.txt')
    expect(await hasPushed()).toBe(false)
  })

  it('leaves a detached HEAD alone', async () => {
    const outcome = await turn(async () => {
      await git('checkout', '--quiet', '--detach')
      await write('new.txt', 'x')
    })
    expect(outcome.notices[0]?.text).toContain('detached')
    expect(await git('status', '--porcelain')).toBe('?? new.txt')
  })

  it('pushes what was merged from a branch of the upstream without a commit of its own', async () => {
    await git('checkout', '--quiet', '-b', 'feature')
    await write('feature.txt', 'x')
    await git('add', '--all')
    await git('commit', '--quiet', '-m', 'Feature')
    await git('push', '--quiet', 'origin', 'feature')
    await git('checkout', '--quiet', BRANCH)
    expect(await turn(() => git('merge', '--quiet', '--ff-only', 'origin/feature'))).toEqual(quiet)
    expect(await outside('log', '--format=%s', BRANCH)).toBe('Feature\nStart')
    expect(await turn(() => git('checkout', '--quiet', 'feature'))).toEqual(quiet)
  })

  it('makes no branch when only another branch was looked at', async () => {
    expect(await turn(() => git('checkout', '--quiet', 'main'))).toEqual(quiet)
    expect(await hasPushed()).toBe(false)
  })

  it('pushes what was committed on another branch, unless it would rewrite', async () => {
    await turn(async () => {
      await git('checkout', '--quiet', '-b', 'own-idea')
      await write('new.txt', 'x')
    })
    expect(await outside('log', '--format=%s', BRANCH)).toBe('Do the thing\nStart')
    const rewritten = await turn(async () => {
      await git('reset', '--quiet', '--hard', 'main')
      await write('other.txt', 'x')
    })
    expect(rewritten.notices[0]?.text).toMatch(/rejected/)
    expect(await outside('ls-tree', '--name-only', BRANCH)).toContain('new.txt')
  })
})

describe('commitMessage', () => {
  it.each([
    ['Fix it', 'Fix it'],
    ['\n  Fix   the\tthing \n\nplease', 'Fix the thing'],
    ['', 'Work of one turn'],
    ['ä'.repeat(100), `${'ä'.repeat(71)}…`],
  ])('%j becomes %j', (prompt, message) => {
    expect(commitMessage(prompt)).toBe(message)
  })
})
