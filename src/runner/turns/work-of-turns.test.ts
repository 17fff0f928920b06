import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { runChecked } from '../../lib/process.ts'
import { failOnDisk } from '../state-file.fixture.ts'
import { openStateFile, type StateFile } from '../state-file.ts'
import { createTurnWork } from './turn-work.ts'
import { createWorkOfTurns, type WorkOfTurns } from './work-of-turns.ts'

let root: string
let folder: string
let state: StateFile
let open: () => WorkOfTurns
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
  await git('commit', '--quiet', '--allow-empty', '--message', 'First')
  const baseCommit = (await git('rev-parse', 'HEAD')).trim()
  const pushAgain = { firstMs: 1, mostMs: 1 }
  const main = { folder, branch: 'main', baseCommit, variables, pushAgain }
  open = () => {
    state = openStateFile(join(root, 'state.json'), failOnDisk)
    const work = createTurnWork({ main, additional: [], state, report: () => undefined })
    return createWorkOfTurns(work, failOnDisk, 50)
  }
})
afterEach(() => rm(root, { recursive: true, force: true }))

const running = new AbortController().signal
const context = { isResumed: false, interrupted: running, stopped: running }
const completed = { kind: 'completed', exitCode: null } as const
const log = () => git('log', '--format=%s', 'main')
/** From now on git waits at each file until `let-go` is there. */
const hang = async () => {
  const wait = `until [ -e ${root}/let-go ]; do sleep 0.02; done; cat`
  await git('config', 'filter.hangs.clean', wait)
  await writeFile(join(folder, '.git', 'info', 'attributes'), '* filter=hangs\n')
}
const writeAndHang = async () => {
  await writeFile(join(folder, 'new.txt'), 'new')
  await hang()
  return completed
}
const nothing = async () => completed

describe('a turn that is interrupted while its commit takes long', () => {
  it('ends at once, and the commit comes before the next turn', async () => {
    const turns = open()
    const interrupt = new AbortController()
    const turn = { id: 't_1', text: 'a' }
    const looking = Promise.withResolvers<void>()
    const end = turns.run(turn, { ...context, interrupted: interrupt.signal }, async () => {
      looking.resolve()
      return writeAndHang()
    })
    await looking.promise
    interrupt.abort()
    expect(await end).toEqual(completed)
    expect(await log()).toBe('First\n')
    const next = turns.run({ id: 't_2', text: 'b' }, context, nothing)
    await writeFile(join(root, 'let-go'), '')
    await next
    expect(await log()).toBe('a\nFirst\n')
    expect(state.get()).toMatchObject({ uncommitted: {}, pushPending: true })
  })

  it('loses nothing when its runner is killed before that: the next turn commits it', async () => {
    const stop = new AbortController()
    const interrupt = new AbortController()
    const signals = { interrupted: interrupt.signal, stopped: stop.signal }
    const end = open().run({ id: 't_1', text: 'a' }, { ...context, ...signals }, async () => {
      await writeAndHang()
      interrupt.abort()
      return { kind: 'interrupted' }
    })
    expect(await end).toEqual({ kind: 'interrupted' })
    stop.abort()
    await writeFile(join(root, 'let-go'), '')
    await open().run({ id: 't_2', text: 'b' }, context, nothing)
    expect(await log()).toBe('b\nFirst\n')
  })
})

describe('a turn that is interrupted', () => {
  it('ends with its commit where that takes no longer than usual', async () => {
    const interrupt = new AbortController()
    const interrupted = interrupt.signal
    const work = {
      expect: () => undefined,
      begin: async () => true,
      finish: () => new Promise((resolve) => setImmediate(resolve)),
      leave: () => expect.fail('it was left'),
      beginAfter: async () => undefined,
      finishAfter: async () => undefined,
    }
    const turns = createWorkOfTurns(work, failOnDisk)
    const converse = async () => {
      interrupt.abort()
      return { kind: 'interrupted' } as const
    }
    const end = await turns.run({ id: 't_1', text: 'a' }, { ...context, interrupted }, converse)
    expect(end).toEqual({ kind: 'interrupted' })
  })
})
