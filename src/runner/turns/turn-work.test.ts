import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { runChecked } from '../../lib/process.ts'
import { failOnDisk } from '../state-file.fixture.ts'
import { openStateFile, type StateFile } from '../state-file.ts'
import { createTurnWork, type TurnWork, type TurnWorkDeps } from './turn-work.ts'

const AT_ONCE = { firstMs: 1, mostMs: 1 }

let root: string
let folder: string
let state: StateFile
let deps: TurnWorkDeps
let work: TurnWork
let git: (...args: string[]) => Promise<string>
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'errand-turn-'))
  folder = join(root, 'cart')
  const variables = {
    ...{ PATH: '/usr/local/bin:/usr/bin:/bin', HOME: root },
    ...{ GIT_AUTHOR_NAME: 'A', GIT_AUTHOR_EMAIL: 'a@example.com' },
    ...{ GIT_COMMITTER_NAME: 'A', GIT_COMMITTER_EMAIL: 'a@example.com' },
  }
  await runChecked('git', ['init', '--quiet', '--initial-branch=main', folder], { env: variables })
  git = (...args) => runChecked('git', args, { cwd: folder, env: variables })
  const commit = ['commit', '--quiet', '--allow-empty', '--message', 'First']
  await git(...commit)
  const baseCommit = (await git('rev-parse', 'HEAD')).trim()
  state = openStateFile(join(root, 'state.json'), failOnDisk)
  const main = { folder, branch: 'main', baseCommit, variables, pushAgain: AT_ONCE }
  deps = { main, additional: [], state, report: () => undefined }
  work = createTurnWork(deps)
})
afterEach(() => rm(root, { recursive: true, force: true }))

const running = new AbortController().signal
const begin = async (id: string) => {
  await work.begin(id, { isResumed: false, interrupted: running, stopped: running })
  return state.get().turn
}

describe('what the agent does after a turn', () => {
  it('is committed when it rests again, or by the next turn where that comes first', async () => {
    const log = () => git('log', '--format=%s', 'main')
    await writeFile(join(folder, 'by-hand.txt'), 'mine')
    await work.beginAfter(running)
    await work.finishAfter('a', running)
    expect(await log()).toBe('First\n')
    await work.beginAfter(running)
    await writeFile(join(folder, 'late.txt'), 'late')
    await work.finishAfter('b', running)
    expect(await log()).toBe('b\nFirst\n')
    await work.beginAfter(running)
    await writeFile(join(folder, 'later.txt'), 'later')
    await begin('t_1')
    await work.finish({ id: 't_1', text: 'c' }, running)
    expect(await log()).toBe('c\nb\nFirst\n')
    await work.finishAfter('d', running)
    expect(await log()).toBe('c\nb\nFirst\n')
  })
})

it('says when the disk takes no note of work that is left, which the next turn still knows', async () => {
  const said: string[] = []
  const errors: unknown[] = []
  state = openStateFile(join(root, 'state.json'), (error) => errors.push(error))
  const report: TurnWorkDeps['report'] = (one) => {
    if (one.type === 'agent.notice') said.push(one.text)
  }
  work = createTurnWork({ ...deps, state, report })
  const before = (await begin('t_1'))?.before
  await writeFile(join(folder, 'new.txt'), 'new')
  await git('checkout', '--quiet', '--detach')
  // What the file is replaced by cannot be made.
  await rm(join(root, 'state.json.new'))
  await mkdir(join(root, 'state.json.new'))
  await work.finish({ id: 't_1', text: 'a' }, running)
  expect(errors).toMatchObject([{ code: 'EISDIR' }])
  expect(said.at(-1)).toMatch(/^The disk of the sandbox did not take a note of this/)
  await rm(join(root, 'state.json.new'), { recursive: true })
  expect((await begin('t_2'))?.before).toEqual(before)
})

describe('what was there before a turn', () => {
  it('is what was seen when the turn was expected, once', async () => {
    work.expect('t_1', { isUntouched: false, stopped: running })
    const first = await begin('t_1')
    await writeFile(join(folder, 'new.txt'), 'new')
    const second = await begin('t_2')
    expect(first?.before?.head).toBe(second?.before?.head)
    expect(first?.before?.tree).not.toBe(second?.before?.tree)
  })

  it('is what the commit holds where nothing else can be there, without a look at it', async () => {
    await writeFile(join(folder, 'unseen.txt'), 'unseen')
    work.expect('t_1', { isUntouched: true, stopped: running })
    const first = (await begin('t_1'))?.before
    expect(first).toEqual({ head: (await git('rev-parse', 'HEAD')).trim(), tree: null })
    expect((await begin('t_2'))?.before?.tree).toMatch(/^[0-9a-f]{40}$/)
  })

  it('is looked at anew for another turn than the one that was expected, or when none is', async () => {
    // A look that is stopped sees nothing: so it shows whose was taken.
    const stopped = AbortSignal.abort()
    work.expect('t_1', { isUntouched: false, stopped })
    expect(await begin('t_1')).toMatchObject({ before: null })
    work.expect('t_2', { isUntouched: false, stopped })
    expect((await begin('t_3'))?.before).not.toBeNull()
    work.expect('t_4', { isUntouched: false, stopped })
    work.expect(null, { isUntouched: false, stopped })
    expect((await begin('t_4'))?.before).not.toBeNull()
  })

  it.each([
    ['on no branch', () => git('checkout', '--quiet', '--detach'), () => git('checkout', 'main')],
    [
      'under a lock',
      () => writeFile(join(folder, '.git', 'index.lock'), ''),
      () => rm(join(folder, '.git', 'index.lock')),
    ],
  ] as const)(
    'is what an earlier turn started from whose work was left %s',
    async (_, leave, mend) => {
      // It holds the lock for as long as it runs.
      const other = spawn('git', ['hash-object', '--stdin'], { cwd: folder, stdio: 'pipe' })
      const ended = once(other, 'close')
      const turn = async (id: string) => {
        await work.begin(id, { isResumed: false, interrupted: running, stopped: running })
        return () => work.finish({ id, text: id }, running)
      }
      const log = () => git('log', '--format=%s', 'main')
      const finish = await turn('t_1')
      await writeFile(join(folder, 'new.txt'), 'new')
      await leave()
      await finish()
      expect(await log()).toBe('First\n')
      other.stdin.end()
      await ended

      // A command of a person comes between them.
      state.set({ turn: { id: 't_2', before: null } })
      const finishNext = await turn('t_3')
      await mend()
      await finishNext()
      expect(await log()).toBe('t_3\nFirst\n')
      await writeFile(join(folder, 'by-hand.txt'), 'mine')
      await (await turn('t_4'))()
      expect(await log()).toBe('t_3\nFirst\n')
    },
  )

  it.each(['interrupted', 'stopped'] as const)('holds nobody up that is %s', async (how) => {
    await writeFile(join(folder, '.gitattributes'), '* filter=hangs\n')
    await git('config', 'filter.hangs.clean', 'sleep 600')
    const context = { isResumed: false, interrupted: running, stopped: running }
    const asked = new AbortController()
    const isBegun = work.begin('t_1', { ...context, [how]: asked.signal })
    asked.abort()
    expect(await isBegun).toBe(false)
    expect(state.get().turn).toBeNull()
  })

  it('is not known where git hangs, and holds the turn up for a limit only', async () => {
    await writeFile(join(folder, '.gitattributes'), '* filter=hangs\n')
    await git('config', 'filter.hangs.clean', 'sleep 600')
    work = createTurnWork({ ...deps, lookMs: 500 })
    expect(await begin('t_1')).toEqual({ id: 't_1', before: null, additional: {} })
  })
})
