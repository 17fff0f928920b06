import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { SDKMessage } from '@anthropic-ai/claude-agent-sdk/core'
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
    return createWorkOfTurns(work, { leaveMs: 50, onLate: () => undefined, wentWrong: failOnDisk })
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

describe('a turn', () => {
  let finish: PromiseWithResolvers<void>
  let late: PromiseWithResolvers<void>
  let turns: WorkOfTurns
  beforeEach(() => {
    finish = Promise.withResolvers()
    late = Promise.withResolvers()
    const done = async () => undefined
    turns = createWorkOfTurns(
      {
        ...{ expect: () => undefined, begin: async () => true, leave: () => undefined },
        ...{ finish: () => finish.promise, beginAfter: done, finishAfter: done },
      },
      { leaveMs: 50, onLate: late.resolve, wentWrong: failOnDisk },
    )
  })
  const isLate = () => Promise.race([late.promise.then(() => true), Promise.resolve(false)])

  it('that is interrupted ends with its commit where that takes no longer than usual', async () => {
    const interrupt = new AbortController()
    const signals = { ...context, interrupted: interrupt.signal }
    const end = turns.run({ id: 't_1', text: 'a' }, signals, async () => {
      interrupt.abort()
      setImmediate(finish.resolve)
      return { kind: 'interrupted' }
    })
    expect(await end).toEqual({ kind: 'interrupted' })
    expect(await isLate()).toBe(false)
  })

  it('says when it is done that goes on behind it, so that it can be saved', async () => {
    const interrupted = AbortSignal.abort()
    await turns.run({ id: 't_1', text: 'a' }, { ...context, interrupted }, nothing)
    expect(await isLate()).toBe(false)
    finish.resolve()
    await late.promise
  })

  it('says the same of what the agent has done by itself after it', async () => {
    finish.resolve()
    await turns.run({ id: 't_1', text: 'a' }, context, nothing)
    expect(await isLate()).toBe(false)
    turns.take({ type: 'result' } as SDKMessage)
    await late.promise
  })
})
