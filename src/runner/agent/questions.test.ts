import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { RunnerReport } from '../../protocol/runner-frames.ts'
import { failOnDisk } from '../state-file.fixture.ts'
import { openStateFile } from '../state-file.ts'
import { createQuestions, describeQuestion, permissionFor } from './questions.ts'

const turnId = 't_abcdefghijklmnopqrst'
const input = {
  questions: [
    {
      question: 'Which?',
      header: 'W',
      multiSelect: false,
      options: [{ label: 'A', preview: 'p' }],
    },
    { question: 'How?', header: 'H', multiSelect: true, options: [{ label: 'B' }] },
  ],
}
const asked = { turnId, id: 'q1', tool: 'AskUserQuestion', input, title: '' }
const yes = { allow: true, answers: {}, message: '' }

let folder: string
let reports: RunnerReport[]
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-questions-'))
  reports = []
})
afterEach(() => rm(folder, { recursive: true }))

const create = () =>
  createQuestions({
    report: (report) => reports.push(report),
    state: openStateFile(join(folder, 'state.json'), failOnDisk),
    mode: () => 'work',
    now: () => new Date(0),
  })
const closed = () => reports.filter(({ type }) => type === 'question.closed')

describe('describeQuestion', () => {
  it('keeps questions, headers and options', () => {
    const question = describeQuestion(asked, 'then')
    expect(question).toMatchObject({ kind: 'question', title: 'Which?', askedAt: 'then' })
    expect(question.items[1]).toEqual({
      question: 'How?',
      header: 'H',
      multiSelect: true,
      options: [{ label: 'B', description: '' }],
    })
  })

  it('survives an input of any form', () => {
    const strange = { ...asked, input: { questions: 7 } }
    expect(describeQuestion(strange, 'then').items).toEqual([])
  })

  it('shows a plan, and what a tool would do', () => {
    const plan = describeQuestion({ ...asked, tool: 'ExitPlanMode', input: { plan: '1.' } }, '')
    expect(plan).toMatchObject({ kind: 'plan', detail: '1.' })
    const tool = describeQuestion({ ...asked, tool: 'Bash', input: { command: 'ls' } }, '')
    expect(tool).toMatchObject({ kind: 'permission', title: 'The agent wants to use Bash' })
    expect(tool.detail).toContain('"command": "ls"')
  })
})

describe('permissionFor', () => {
  const question = describeQuestion(asked, '')
  it('hands answers over by question, and a message to all that have none', () => {
    const answer = { allow: true, answers: { 'Which?': 'A' }, message: 'as you like' }
    expect(permissionFor(answer, question, { input, mode: 'work' })).toMatchObject({
      behavior: 'allow',
      updatedInput: { ...input, answers: { 'Which?': 'A', 'How?': 'as you like' } },
    })
  })

  it('denies with the words of the user', () => {
    const answer = { allow: false, answers: {}, message: 'No.' }
    expect(permissionFor(answer, question, { input, mode: 'work' })).toEqual({
      behavior: 'deny',
      message: 'No.',
    })
  })

  it.each([
    ['plan', 'bypassPermissions'],
    ['work', 'bypassPermissions'],
    ['ask', 'default'],
  ] as const)('leaves plan mode with an approved plan (mode of the session: %s)', (mode, then) => {
    const plan = describeQuestion({ ...asked, tool: 'ExitPlanMode', input: {} }, '')
    expect(permissionFor(yes, plan, { input: {}, mode })).toMatchObject({
      updatedPermissions: [{ type: 'setMode', mode: then }],
    })
  })
})

describe('createQuestions', () => {
  it('waits for the answer, which may come twice, and closes once', async () => {
    const questions = create()
    const permission = questions.ask(asked, new AbortController().signal)
    questions.answer({})
    questions.answer({ q1: yes })
    questions.answer({ q1: yes })
    expect(await permission).toMatchObject({ behavior: 'allow' })
    questions.answer({ q1: yes })
    expect(reports.map(({ type }) => type)).toEqual(['question.asked', 'question.closed'])
  })

  it('closes the question of an interrupted turn', async () => {
    const interrupt = new AbortController()
    const permission = create().ask(asked, interrupt.signal)
    interrupt.abort()
    expect(await permission).toMatchObject({ behavior: 'deny' })
    expect(closed()).toEqual([{ type: 'question.closed', questionId: 'q1' }])
  })

  it('gives a question that is asked again another id', async () => {
    const questions = create()
    const first = questions.ask(asked, new AbortController().signal)
    questions.answer({ q1: yes })
    await first
    const second = questions.ask(asked, new AbortController().signal)
    questions.answer({ 'q1-2': yes })
    await second
    expect(closed()).toMatchObject([{ questionId: 'q1' }, { questionId: 'q1-2' }])
  })

  it('closes what an earlier run left open, and answers that nobody waits for', () => {
    void create().ask(asked, new AbortController().signal)
    const next = create()
    next.closeLeftOver()
    next.answer({ q1: yes, unknown: yes })
    expect(closed()).toMatchObject([{ questionId: 'q1' }, { questionId: 'unknown' }])
  })
})
