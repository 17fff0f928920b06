// The runner with the real Claude Code, git and file system, outside of a sandbox; only the model is scripted.
import { existsSync } from 'node:fs'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { loadScenarios } from '../../../demo/scenario.ts'
import { asksWith, BRANCH, createPlace, type Place } from '../place.fixture.ts'

const UNTIL_GO = { command: 'while ! test -e ../go.txt; do sleep 0.05; done', description: 'Wait' }

let place: Place
beforeEach(async () => {
  place = await createPlace([
    asksWith('touch a file', 'Bash', { command: 'echo new > new.txt', description: 'Write' }),
    asksWith('end the agent', 'Bash', { command: 'kill -9 $PPID', description: 'Die' }),
    asksWith('make a plan', 'ExitPlanMode', { plan: '1. Do it' }),
    {
      name: 'in the background',
      about: 'Goes on by itself when its command has ended, after the turn.',
      turns: [
        {
          prompt: 'work in the background',
          steps: [
            { use: [{ tool: 'Bash', input: { ...UNTIL_GO, run_in_background: true } }] },
            { say: 'It runs.' },
            { use: [{ tool: 'Bash', input: { command: 'touch late.txt', description: 'Write' } }] },
            { say: 'It has ended.' },
          ],
        },
      ],
    },
    ...loadScenarios(),
  ])
})
afterEach(() => place.close())

describe('preparation', () => {
  it('makes the checkout with the true URL, on the own branch, and tells its phases', async () => {
    await place.start()
    await place.gateway.wait('runner.ready')
    const { repository } = place.setup
    expect(await place.git('config', 'remote.origin.url')).toBe(repository.url)
    expect(await place.git('symbolic-ref', '--short', 'HEAD')).toBe(BRANCH)
    expect(await place.git('rev-parse', 'HEAD')).toBe(repository.commit)
    const phases = place.gateway.ofType('phase.completed').map(({ phase }) => phase)
    expect(phases).toEqual(['checkout', 'agent'])
  })

  it('keeps the files when it starts again, and prepares anew for a new generation', async () => {
    await place.start()
    await place.gateway.wait('runner.ready')
    await writeFile(join(place.checkout, 'kept.txt'), 'kept')
    await place.stop()
    place.gateway.setGeneration(2)
    await place.start()
    await place.gateway.wait('runner.ready', ({ generation }) => generation === 2)
    expect(existsSync(join(place.checkout, 'kept.txt'))).toBe(true)
  })

  it('says in a phase what git said when there is nothing to check out', async () => {
    await rm(place.upstream, { recursive: true })
    await place.start()
    const failed = await place.gateway.wait('phase.failed')
    expect(failed).toMatchObject({ phase: 'checkout', reason: 'checkout_failed' })
    expect(failed.message).toContain('upstream.git')
  })
})

describe('turns of the agent', () => {
  it('fixes a bug test-first, commits and pushes', async () => {
    await place.start()
    const turn = place.ask('Please make the failing test pass')
    expect(await place.endOf(turn)).toMatchObject({ type: 'turn.completed', exitCode: null })
    const results = place.gateway.ofType('tool.returned').map(({ output }) => output)
    const calls = place.gateway.ofType('tool.called').map(({ name }) => name)
    expect(calls.slice(0, 4)).toEqual(['Bash', 'Read', 'Edit', 'Bash'])
    expect(results[0]).toContain('fail 1')
    expect(results[3]).toContain('fail 0')
    expect(await place.remote('rev-parse', BRANCH)).toBe(await place.git('rev-parse', 'HEAD'))
    expect(await place.git('status', '--porcelain')).toBe('')
    const transcript = await place.transcript()
    for (const { uuid } of place.gateway.ofType('tool.called')) expect(transcript).toContain(uuid)
  })

  it('commits and pushes what the agent left uncommitted, with the first line of the prompt', async () => {
    await place.start()
    await place.endOf(place.ask('touch a file\nand say no more'))
    expect(await place.remote('log', '-1', '--format=%s', BRANCH)).toBe('touch a file')
    expect(await place.remote('show', `${BRANCH}:new.txt`)).toBe('new')
  })

  it('commits and pushes what the agent changes by itself after a turn', async () => {
    await place.start()
    await place.endOf(place.ask('work in the background\nplease'))
    await writeFile(join(place.checkout, '..', 'go.txt'), '')
    const said = await place.gateway.wait('agent.notice', ({ kind }) => kind === 'background')
    expect(said.text).toBe('It has ended.')
    await untilTrue(async () => (await place.remote('branch', '--list', BRANCH)) !== '')
    expect(await place.remote('log', '--format=%s', '-1', BRANCH)).toBe('work in the background')
    expect(await place.remote('show', '--format=', '--name-only', BRANCH)).toContain('late.txt')
    expect((await place.endOf(place.ask('How are you?'))).type).toBe('turn.completed')
  })

  it('makes no branch when nothing was changed', async () => {
    await place.start()
    expect((await place.endOf(place.ask('How are you?'))).type).toBe('turn.completed')
    expect(await place.remote('branch', '--list', BRANCH)).toBe('')
  })
})

describe('over a restart', () => {
  it('streams live text and keeps the conversation over turns and a restart', async () => {
    await place.start()
    expect((await place.endOf(place.ask('Please add a function isEmpty'))).type).toBe(
      'turn.completed',
    )
    await place.stop()
    await place.start()
    expect((await place.endOf(place.ask('now test it'))).type).toBe('turn.completed')
    const said = place.gateway.ofType('assistant.text').map(({ text }) => text)
    expect(said).toContainEqual(expect.stringContaining('Please add a function isEmpty'))
    expect(await place.remote('log', '--format=%s', '-2', BRANCH)).toBe('Test isEmpty\nAdd isEmpty')
  })

  it('keeps forgotten what was cleared, and remembers what was said since', async () => {
    await place.start()
    await place.endOf(place.ask('Please add a function isEmpty'))
    expect((await place.endOf(place.ask('/clear'))).type).toBe('turn.completed')
    await place.endOf(place.ask('how does the discount work'))
    await place.stop()
    await place.start()
    await place.endOf(place.ask('now test it'))
    const said = place.gateway.ofType('assistant.text').map(({ text }) => text)
    expect(said.join('\n')).not.toContain('Please add a function isEmpty')
    const transcript = await place.transcript()
    expect(transcript).toContain('how does the discount work')
    expect(transcript).toContain('now test it')
  })

  it('takes up a turn that was cut off by a restart, without asking the prompt twice', async () => {
    await place.start()
    const turn = place.ask('wait in a command')
    await place.gateway.wait('tool.called')
    await untilExists(join(place.checkout, 'waiting.txt'))
    await place.stop()
    expect(place.gateway.ofType('turn.interrupted')).toEqual([])
    await place.start()
    const end = await place.endOf(turn)
    expect(end.type).toBe('turn.completed')
    const asked = /"role":"user","content":"wait in a command"/g
    expect([...(await place.transcript()).matchAll(asked)].length).toBe(1)
  })

  it('ignores what the repository says about the way to the model', async () => {
    await place.start()
    await place.gateway.wait('runner.ready')
    await place.stop()
    await mkdir(join(place.checkout, '.claude'), { recursive: true })
    const env = { ANTHROPIC_BASE_URL: 'http://127.0.0.1:9', ANTHROPIC_API_KEY: 'other' }
    await writeFile(join(place.checkout, '.claude', 'settings.json'), JSON.stringify({ env }))
    await place.start()
    expect((await place.endOf(place.ask('How are you?'))).type).toBe('turn.completed')
    const keys = place.model.requests.map(({ headers }) => headers['x-api-key'])
    expect(new Set(keys)).toEqual(new Set(['errand-placeholder']))
  })
})

describe('changes while it works', () => {
  it('takes another model for what follows', async () => {
    place.gateway.direct({ model: 'claude-sonnet-5-5' })
    await place.start()
    await place.endOf(place.ask('How are you?'))
    place.gateway.direct({ model: 'claude-haiku-4-5' })
    await place.endOf(place.ask('And now?'))
    const main = place.model.requests.filter(({ side }) => !side)
    const models = main.map(({ body }) => (JSON.parse(body) as { model: string }).model)
    expect([models[0], models.at(-1)]).toEqual(['claude-sonnet-5-5', 'claude-haiku-4-5'])
  })

  it('asks from the moment on that the mode is ask', async () => {
    await place.start()
    const text = 'wait in a command'
    const turn = place.ask(text)
    await untilExists(join(place.checkout, 'waiting.txt'))
    place.gateway.direct({ mode: 'ask' })
    place.interrupt(turn)
    await place.endOf(turn)
    place.ask('touch a file')
    const { question } = await place.gateway.wait('question.asked')
    expect(question.kind).toBe('permission')
  })
})

describe('interrupts', () => {
  it.each(['wait in a command', 'think slowly'])(
    'ends "%s" and goes on with the next turn',
    async (prompt) => {
      await place.start()
      const turn = place.ask(prompt)
      await place.gateway.wait('turn.accepted')
      if (prompt === 'think slowly') await untilTrue(() => place.gateway.deltas.length > 0)
      else await untilExists(join(place.checkout, 'waiting.txt'))
      place.interrupt(turn)
      expect((await place.endOf(turn)).type).toBe('turn.interrupted')
      expect((await place.endOf(place.ask('How are you?'))).type).toBe('turn.completed')
    },
  )
})

describe('a model that does not answer', () => {
  it('can be interrupted', async () => {
    await place.start()
    place.model.failNext({ kind: 'hang' })
    const turn = place.ask('How are you?')
    await untilTrue(() => place.model.requests.length > 0)
    place.interrupt(turn)
    expect((await place.endOf(turn)).type).toBe('turn.interrupted')
  })

  it.each(['cut', 'error-event'] as const)('survives a stream with the fault %s', async (kind) => {
    await place.start()
    place.model.failNext({ kind, afterEvents: 3 })
    expect((await place.endOf(place.ask('How are you?'))).type).toBe('turn.completed')
  })
})

describe('questions', () => {
  it('asks the user and goes on with the answer', async () => {
    await place.start()
    const turn = place.ask('Put a currency sign on the receipt')
    const { question } = await place.gateway.wait('question.asked')
    expect(question).toMatchObject({ kind: 'question', turnId: turn })
    const item = question.items[0]
    expect(item?.options.map(({ label }) => label)).toEqual(['Euro', 'Dollar'])
    const answers = { [item?.question ?? '']: 'Euro' }
    place.gateway.direct({ answers: { [question.id]: { allow: true, answers, message: '' } } })
    expect((await place.endOf(turn)).type).toBe('turn.completed')
    expect(place.gateway.ofType('question.closed')).toEqual([
      { type: 'question.closed', questionId: question.id },
    ])
    expect(await readFile(join(place.checkout, 'src/money.js'), 'utf8')).toContain('€')
  })

  it.each([true, false])('asks for permission in the mode ask (allowed: %s)', async (allow) => {
    place.gateway.direct({ mode: 'ask' })
    await place.start()
    const turn = place.ask('touch a file')
    const { question } = await place.gateway.wait('question.asked')
    expect(question.kind).toBe('permission')
    expect(question.detail).toContain('new.txt')
    const answer = { allow, answers: {}, message: allow ? '' : 'Not now.' }
    place.gateway.direct({ answers: { [question.id]: answer } })
    expect((await place.endOf(turn)).type).toBe('turn.completed')
    expect(existsSync(join(place.checkout, 'new.txt'))).toBe(allow)
    const [returned] = place.gateway.ofType('tool.returned')
    expect(returned?.isError).toBe(!allow)
    if (!allow) expect(returned?.output).toContain('Not now.')
  })

  it('shows the plan of the mode plan, and changes the mode while it works', async () => {
    place.gateway.direct({ mode: 'plan' })
    await place.start()
    const turn = place.ask('make a plan')
    const { question } = await place.gateway.wait('question.asked')
    expect(question).toMatchObject({ kind: 'plan', turnId: turn })
    const answer = { allow: true, answers: {}, message: '' }
    place.gateway.direct({ answers: { [question.id]: answer } })
    expect((await place.endOf(turn)).type).toBe('turn.completed')
    place.gateway.direct({ mode: 'work' })
    expect((await place.endOf(place.ask('touch a file'))).type).toBe('turn.completed')
    expect(place.gateway.ofType('question.asked').length).toBe(1)
  })

  it('closes the question of a turn that is interrupted', async () => {
    await place.start()
    const text = 'Put a currency sign on the receipt'
    const turn = place.ask(text)
    const { question } = await place.gateway.wait('question.asked')
    place.interrupt(turn)
    expect((await place.endOf(turn)).type).toBe('turn.interrupted')
    await place.gateway.wait('question.closed', ({ questionId }) => questionId === question.id)
  })
})

describe('failures of the model', () => {
  it.each([
    [401, 'model_unauthenticated'],
    [429, 'model_rate_limited'],
    [529, 'model_overloaded'],
    [400, 'model_refused_request'],
  ])('status %i ends the turn with the reason %s', async (status, reason) => {
    await place.start()
    for (let i = 0; i < 12; i++) place.model.failNext({ kind: 'status', status })
    const end = await place.endOf(place.ask('How are you?'))
    expect(end).toMatchObject({ type: 'turn.failed', reason })
    expect((end as { message: string }).message).toContain(String(status))
  })
})

describe('the death of the agent', () => {
  it('is no end of the turn; a new process goes on with the same conversation', async () => {
    await place.start()
    await place.endOf(place.ask('Please add a function isEmpty'))
    const end = await place.endOf(place.ask('end the agent'))
    expect(end.type).toBe('turn.completed')
    const notices = place.gateway.ofType('agent.notice').map(({ kind }) => kind)
    expect(notices).toEqual(['resumed'])
    expect((await place.endOf(place.ask('now test it'))).type).toBe('turn.completed')
    const said = place.gateway.ofType('assistant.text').map(({ text }) => text)
    expect(said).toContainEqual(expect.stringContaining('Please add a function isEmpty'))
  })
})

describe('commands', () => {
  it('runs a command without the agent, and never commits', async () => {
    await place.start()
    const turn = place.ask('echo out; echo err >&2; echo x > by-hand.txt; exit 3', 'command')
    expect(await place.endOf(turn)).toMatchObject({ type: 'turn.completed', exitCode: 3 })
    const output = place.gateway
      .ofType('command.output')
      .map(({ text }) => text)
      .join('')
    expect(output.split('\n').sort()).toEqual(['', 'err', 'out'])
    expect(await place.git('status', '--porcelain')).toBe('?? by-hand.txt')
    expect(place.model.requests).toEqual([])
  })

  it('ends the whole group of an interrupted command', async () => {
    await place.start()
    const text = 'sleep 1000 & echo $!; wait'
    const turn = place.ask(text, 'command')
    const { text: pid } = await place.gateway.wait('command.output')
    place.interrupt(turn)
    expect((await place.endOf(turn)).type).toBe('turn.interrupted')
    const status = await readFile(`/proc/${Number(pid)}/status`, 'utf8').catch(() => 'gone')
    expect(status).toMatch(/gone|State:\s+Z/)
  })
})

/** The agent's commands tell nobody but the file system what they did. */
async function untilExists(path: string): Promise<void> {
  await untilTrue(() => existsSync(path))
}

async function untilTrue(isTrue: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isTrue())) await new Promise((resolve) => setTimeout(resolve, 20))
}
