import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { RunnerReport } from '../../protocol/runner-frames.ts'
import { failOnDisk } from '../state-file.fixture.ts'
import { openStateFile } from '../state-file.ts'
import { createAgentTurns } from './agent-turn.ts'
import { createTurns, type Turns } from './turns.ts'

let folder: string
let reports: RunnerReport[]
let prompts: string[]
let start: PromiseWithResolvers<void>
let turns: Turns
let finish: () => Promise<void>

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-agent-turn-'))
  reports = []
  prompts = []
  start = Promise.withResolvers()
  const state = openStateFile(join(folder, 'state.json'), failOnDisk)
  const report = (item: RunnerReport) => reports.push(item)
  const done = async () => undefined
  finish = done
  const agentTurns = createAgentTurns({
    claude: {
      start: () => start.promise,
      startForPrompt: () => start.promise,
      prompt: (text) => prompts.push(text) > 0,
      adjust: done,
      interrupt: done,
      remembers: async () => false,
      end: done,
    },
    work: {
      expect: () => undefined,
      begin: async () => true,
      finish: () => finish(),
      leave: () => undefined,
      beginAfter: done,
      finishAfter: done,
    },
    state,
    report,
    conversation: {
      transcript: {
        has: () => true,
        look: done,
        messagesAfter: async () => [],
        sizeBytes: async () => 0,
      },
      hasReported: () => false,
    },
    sendDelta: () => undefined,
    onLate: () => undefined,
  })
  const run = { agent: agentTurns.run, command: agentTurns.run }
  turns = createTurns({ report, state, run, ended: [] })
})
afterEach(() => rm(folder, { recursive: true }))

const wanted = (id: string, interrupt = false) =>
  ({ id, kind: 'agent', text: `text of ${id}`, interrupt }) as const

it('ends at once when it is interrupted while its agent starts, which the next one finds started', async () => {
  turns.reconcile(wanted('t1'))
  turns.reconcile(wanted('t1', true))
  await expect.poll(() => reports.at(-1)).toEqual({ type: 'turn.interrupted', turnId: 't1' })
  turns.reconcile(wanted('t2'))
  start.resolve()
  await expect.poll(() => prompts).toEqual(['text of t2'])
})

it('is interrupted, and not failed, when its agent fails to start after that', async () => {
  turns.reconcile(wanted('t1'))
  turns.reconcile(wanted('t1', true))
  start.reject(new Error('no'))
  await expect.poll(() => reports.at(-1)).toEqual({ type: 'turn.interrupted', turnId: 't1' })
})

it('says what went wrong at its very end, before it ends', async () => {
  finish = () => Promise.reject(new Error('the disk is gone'))
  turns.reconcile(wanted('t1'))
  start.reject(new Error('no'))
  await expect.poll(() => reports.at(-1)?.type).toBe('turn.failed')
  const notice = { type: 'agent.notice', turnId: 't1', kind: 'commit' }
  const text = expect.stringContaining('the disk is gone')
  expect(reports.at(-2)).toEqual({ ...notice, text })
})
