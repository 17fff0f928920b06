import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Client } from '../client/client.ts'
import { AppError } from '../protocol/errors.ts'
import type { EventBody } from '../protocol/event.ts'
import type { SessionState } from '../protocol/session.ts'
import { actsOnTerminal, createTestCli } from './cli.fixture.ts'
import { BEGIN, createErrand, DONE, QUESTION, sessionId, turnId } from './errand.fixture.ts'

const RUN = ['run', 'fix it', '--repo', 'https://example.com/r'] as const

describe('errand run', () => {
  it('shows the work and ends with branch and changes', async () => {
    const { client, calls } = createErrand([...BEGIN, DONE])
    const cli = createTestCli({ client })
    const options = ['--network', 'none', '--model', 'm', '--mode', 'plan', '--branch', 'dev']
    expect(await cli.run(...RUN, ...options)).toBe(0)
    expect(calls[0]?.args[0]).toMatchObject({
      ...{ prompt: 'fix it', source: { kind: 'remote', url: 'https://example.com/r' } },
      ...{ network: { level: 'none' }, model: 'm', mode: 'plan', baseBranch: 'dev', kind: 'agent' },
    })
    expect(cli.stdout.text()).toMatch(
      /› fix it[\s\S]*✓ done[\s\S]*branch {3}errand\/x {2}\(bbbbbbbbbb\)\nchanges {2}1 file, \+2 −1/,
    )
    expect(cli.listeners()).toBe(0)
  })

  it('asks again where no answer came, for the same session', async () => {
    const { client, calls } = createErrand([...BEGIN, DONE])
    const { createSession } = client
    client.createSession = async (fields) => {
      const session = createSession?.(fields)
      if (calls.length === 1) throw new AppError('unavailable', 'errand_unreachable', 'cut off')
      return session as Promise<SessionState>
    }
    expect(await createTestCli({ client }).run(...RUN)).toBe(0)
    const asked = calls.flatMap(({ name, args }) => (name === 'createSession' ? args : []))
    expect(asked).toHaveLength(2)
    expect(asked[1]).toEqual(asked[0])
    expect(asked[0]).toMatchObject({ turnId: expect.stringMatching(/^t_[a-z2-7]{20}$/) })
  })

  it('prints one object with --json and nothing else', async () => {
    const { client } = createErrand([...BEGIN, DONE])
    const cli = createTestCli({ client })
    expect(await cli.run(...RUN, '--json')).toBe(0)
    expect(JSON.parse(cli.stdout.text())).toMatchObject({
      ...{
        sessionId,
        status: 'idle',
        outcome: 'completed',
        branch: 'errand/x',
        commit: 'b'.repeat(40),
      },
      ...{
        filesChanged: 1,
        insertions: 2,
        deletions: 1,
        url: `http://errand/sessions/${sessionId}`,
      },
    })
  })

  it.each([
    ['model_unauthenticated', 3],
    ['model_rate_limited', 8],
    ['token_limit_reached', 4],
    ['cost_limit_reached', 4],
    ['disk_full', 12],
    ['agent_crashed', 70],
  ])('ends with the exit code of %s', async (reason, exitCode) => {
    const { client } = createErrand([
      ...BEGIN,
      { type: 'turn.failed', turnId, reason, message: 'no' },
    ])
    const cli = createTestCli({ client })
    expect(await cli.run(...RUN, '--json')).toBe(exitCode)
    expect(JSON.parse(cli.stdout.text())).toMatchObject({ outcome: 'failed', error: { reason } })
  })

  it('ends with the code of a command', async () => {
    const { client } = createErrand([...BEGIN, { ...DONE, exitCode: 7 }])
    expect(await createTestCli({ client }).run(...RUN, '--command')).toBe(7)
  })

  it('ends when the preparation failed', async () => {
    const failed: EventBody = { type: 'session.failed', reason: 'fetch_timeout', message: 'slow' }
    const { client } = createErrand([...BEGIN.slice(0, 2), failed])
    expect(await createTestCli({ client }).run(...RUN)).toBe(11)
  })

  it('lets go at Ctrl-C and says how to come back', async () => {
    const { client } = createErrand(BEGIN)
    const cli = createTestCli({ client })
    const ended = cli.run(...RUN)
    while (cli.listeners() === 0) await new Promise(setImmediate)
    cli.interrupt()
    expect(cli.listeners()).toBe(0)
    expect(await ended).toBe(0)
    expect(cli.stdout.text()).toContain('errand logs s_aaaaaa --follow')
  })

  it('lets go at Ctrl-C while Errand cannot be reached, and says how to come back', async () => {
    const { client } = createErrand(BEGIN)
    client.getSession = async () => {
      throw new AppError('unavailable', 'errand_unreachable', 'cut off')
    }
    const cli = createTestCli({ client })
    const ended = cli.run(...RUN)
    while (cli.listeners() === 0) await new Promise(setImmediate)
    cli.interrupt()
    expect(await ended).toBe(0)
    expect(cli.stderr.text()).toBe('')
    expect(cli.stdout.text()).toContain('errand logs s_aaaaaa --follow')
    const detached = createTestCli({ client })
    expect(await detached.run(...RUN, '--detach', '--json')).toBe(0)
    expect(JSON.parse(detached.stdout.text())).toMatchObject({ sessionId, outcome: null })
  })

  it('asks at a terminal and goes on with the answer', async () => {
    const { client, calls, tell } = createErrand([
      ...BEGIN,
      { type: 'question.asked', question: QUESTION },
    ])
    const answer = { allow: true, answers: { 'Which one?': 'Blue' }, message: '' }
    const asked: string[] = []
    const prompt = async (question: string) => {
      asked.push(question)
      queueMicrotask(() => tell({ type: 'question.answered', questionId: 'q1', answer }, DONE))
      return '2'
    }
    expect(await createTestCli({ client, prompt }).run(...RUN)).toBe(0)
    expect(asked).toEqual(['One > '])
    expect(calls.find(({ name }) => name === 'answerQuestion')?.args).toEqual([
      ...['q1', { allow: true, answers: { 'Which one?': 'Blue' } }],
    ])
  })

  it('sends an answer again while Errand is being started anew, and goes on watching', async () => {
    const { client, calls, tell } = createErrand([
      ...BEGIN,
      { type: 'question.asked', question: QUESTION },
    ])
    const { answerQuestion } = client
    const given = { allow: true, answers: { 'Which one?': 'Blue' }, message: '' }
    client.answerQuestion = async (...args) => {
      const state = answerQuestion?.(...args)
      if (calls.filter(({ name }) => name === 'answerQuestion').length === 1)
        throw new AppError('unavailable', 'errand_unreachable', 'cut off')
      tell({ type: 'question.answered', questionId: 'q1', answer: given }, DONE)
      return state as Promise<SessionState>
    }
    const cli = createTestCli({ client, prompt: async () => '2' })
    expect(await cli.run(...RUN), cli.stderr.text()).toBe(0)
    expect(cli.stderr.text()).toBe('')
    expect(cli.stdout.text()).toContain('✓ done')
  })

  it('takes an answer for given whose answer was lost, once it is seen that it arrived', async () => {
    const { client, tell } = createErrand([
      ...BEGIN,
      { type: 'question.asked', question: QUESTION },
    ])
    const given = { allow: true, answers: { 'Which one?': 'Blue' }, message: '' }
    client.answerQuestion = async () => {
      tell({ type: 'question.answered', questionId: 'q1', answer: given })
      setImmediate(() => tell(DONE))
      throw new AppError('unavailable', 'errand_unreachable', 'cut off')
    }
    const cli = createTestCli({ client, prompt: async () => '2' })
    expect(await cli.run(...RUN), cli.stderr.text()).toBe(0)
    expect(cli.stderr.text()).toBe('')
    expect(cli.stdout.text()).toContain('✓ done')
  })

  it('takes the question back when it was answered elsewhere', async () => {
    const { client, tell } = createErrand([
      ...BEGIN,
      { type: 'question.asked', question: QUESTION },
    ])
    const prompt = (_question: string, { signal }: { signal: AbortSignal }) =>
      new Promise<string>((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason))
        tell({ type: 'question.closed', questionId: 'q1' }, DONE)
      })
    expect(await createTestCli({ client, prompt }).run(...RUN)).toBe(0)
  })

  it('never hangs on a question where nobody can answer', async () => {
    const { client } = createErrand([...BEGIN, { type: 'question.asked', question: QUESTION }])
    const cli = createTestCli({ client })
    expect(await cli.run(...RUN)).toBe(6)
    expect(cli.stdout.text()).toMatch(/◆ Which one\?[\s\S]*1 {2}Red[\s\S]*errand answer s_aaaaaa/)
  })
})

describe('errors', () => {
  it('are one sentence, one object and an exit code', async () => {
    const getSession = () =>
      Promise.reject(new AppError('conflict', 'ambiguous_id', 'two\x1b[2J sessions'))
    const cli = createTestCli({ client: { getSession } })
    expect(await cli.run('show', 'abc', '--json')).toBe(6)
    expect(cli.stderr.text()).toBe('errand: two\\x1b[2J sessions (ambiguous_id)\n')
    expect(JSON.parse(cli.stdout.text())).toEqual({
      error: { code: 'conflict', reason: 'ambiguous_id', message: 'two\x1b[2J sessions' },
    })
  })

  it.each([
    [['show', 'S!'], 'session_id_invalid', 2],
    [['dance'], 'usage', 2],
    [['show'], 'usage', 2],
    [['run', 'x', '--repo', 'https://a/b', '--mode', 'fly'], 'usage', 2],
    [['run', ' ', '--repo', 'https://a/b'], 'prompt_empty', 2],
    [['send', 's_a', ' '], 'prompt_empty', 2],
    [['run', 'x', '--repo', 'https://a/b', '--network', 'custom'], 'domains_missing', 2],
    [
      ['run', 'x', '--repo', 'https://a/b', '--network', 'none', '--allow', 'a.b'],
      'network_unfitting',
      2,
    ],
    [['run', 'x', '--repo', '/nonexistent'], 'path_not_found', 5],
    [['credential', 'add', 'example.com'], 'secret_missing', 2],
    [[], 'command_missing', 2],
  ])('%j says %s', async (args, reason, exitCode) => {
    const cli = createTestCli({ env: { PATH: '/usr/bin:/bin' } })
    expect(await cli.run(...args)).toBe(exitCode)
    expect(cli.stderr.text()).toMatch(new RegExp(`^errand: .*\\(${reason}\\)\\n$`))
    expect(cli.stdout.text()).toBe('')
  })

  it.each([
    [['run', '']],
    [['run', 'x', '--network', 'custom']],
    [['run', 'x', '--network', 'none', '--allow', 'a.b']],
  ])('%j start nothing', async (args) => {
    const cli = createTestCli({})
    expect(await cli.run(...args)).toBe(2)
    expect(cli.connections()).toBe(0)
  })

  it.each([
    [['show'], 'errand show --help'],
    [['network', 'set', 's_a', '--frob'], 'errand network set --help'],
    [['network'], 'errand network --help'],
    [['env', 'list', 'extra'], 'errand env list --help'],
    [['dance'], 'errand --help'],
  ])('%j name %s', async (args, help) => {
    const cli = createTestCli({})
    expect(await cli.run(...args)).toBe(2)
    expect(cli.stderr.text()).toMatch(new RegExp(`(see|:) ${help} `))
  })

  it('name a folder without a repository', async () => {
    const cwd = await mkdtemp(join(tmpdir(), 'errand-none-'))
    const cli = createTestCli({ cwd, env: { PATH: '/usr/bin:/bin' } })
    expect(await cli.run('run', 'x', '--json')).toBe(5)
    expect(JSON.parse(cli.stdout.text()).error.reason).toBe('no_repository')
    await rm(cwd, { recursive: true })
  })
})

describe('the other commands', () => {
  it('print events one a line', async () => {
    const { client } = createErrand([...BEGIN, DONE])
    const cli = createTestCli({ client })
    expect(await cli.run('logs', 'aaaa', '--after', '2', '--json')).toBe(0)
    const lines = cli.stdout.text().trimEnd().split('\n')
    expect(lines.map((line) => JSON.parse(line).seq)).toEqual([3, 4])
  })

  it('answer by number, label or words, and take no answer that does not fit', async () => {
    const { client, calls } = createErrand([
      ...BEGIN,
      { type: 'question.asked', question: QUESTION },
    ])
    for (const [choice, label] of [
      ['1', 'Red'],
      ['blue', 'Blue'],
      ['neither', 'neither'],
    ] as const) {
      calls.length = 0
      expect(await createTestCli({ client }).run('answer', 'aaaa', choice)).toBe(0)
      expect(calls.at(-1)?.args[1]).toMatchObject({ allow: true, answers: { 'Which one?': label } })
    }
    expect(await createTestCli({ client }).run('answer', 'aaaa', '1', '2')).toBe(2)
    expect(await createTestCli({ client }).run('answer', 'aaaa')).toBe(2)
    expect(await createTestCli({ client }).run('answer', 'aaaa', '1', '--question', 'q2')).toBe(5)
  })

  it('answer once more while Errand starts anew', async () => {
    const { client } = createErrand([...BEGIN, { type: 'question.asked', question: QUESTION }])
    const answered: unknown[] = []
    client.answerQuestion = async (...args) => {
      answered.push(args)
      if (answered.length === 1)
        throw new AppError('unavailable', 'errand_unreachable', 'starts anew')
      return client.getSession?.('aaaa') as Promise<SessionState>
    }
    const cli = createTestCli({ client })
    expect(await cli.run('answer', 'aaaa', '1'), cli.stderr.text()).toBe(0)
    expect(answered).toHaveLength(2)
    expect(cli.stdout.text()).toContain('answered: Which one?')
  })

  it('show what is asked, title and turn with nothing in it that acts on a terminal', async () => {
    const evil = '\x1b]52;c;ZXZpbA==\x07\rfake\x9b1m\u202e'
    const [created, queued, started] = BEGIN as [EventBody, EventBody, EventBody]
    const item = { question: evil, header: evil, multiSelect: false }
    const { client } = createErrand([
      { ...created, title: evil } as EventBody,
      { ...queued, text: evil } as EventBody,
      started,
      {
        type: 'question.asked',
        question: {
          ...{ ...QUESTION, title: evil, detail: evil },
          items: [{ ...item, options: [{ label: evil, description: evil }] }],
        },
      },
    ])
    const asked: string[] = []
    const prompt = async (text: string) => {
      asked.push(text)
      return '1'
    }
    for (const command of ['show', 'answer']) {
      const cli = createTestCli({ client, prompt, columns: 80 })
      expect(await cli.run(command, 'aaaa'), cli.stderr.text()).toBe(0)
      const written = [cli.stdout.text(), cli.stderr.text(), ...asked].join('\n')
      expect(written).toContain('\\x1b]52;c;ZXZpbA==')
      expect(actsOnTerminal(written)).toBe(false)
    }
    expect(asked).toHaveLength(1)
  })

  it('read a secret from standard input', async () => {
    const seen: unknown[] = []
    const createCredential: Client['createCredential'] = async (fields) => {
      seen.push(fields)
      return {
        ...{ id: 'c_x', host: 'h', kind: 'https', username: '', createdAt: '' },
        lastUsedAt: null,
        binding: null,
      }
    }
    const cli = createTestCli({ client: { createCredential }, stdin: 'hunter2\n' })
    expect(await cli.run('credential', 'add', 'git.example.com', '--username', 'u')).toBe(0)
    expect(seen).toEqual([
      { host: 'git.example.com', kind: 'https', username: 'u', secret: 'hunter2' },
    ])
  })

  it('bind a credential for an API to hosts, paths and a variable', async () => {
    let seen: unknown
    const createCredential: Client['createCredential'] = async (fields) => {
      seen = fields
      return {
        id: 'c_x',
        ...{ host: 'h', kind: 'header', username: '', createdAt: '' },
      } as Awaited<ReturnType<Client['createCredential']>>
    }
    const cli = createTestCli({ client: { createCredential }, stdin: 'hunter2\n' })
    const how = ['--kind', 'header', '--header', 'X-Key', '--path', '/v1/', '--variable', 'KEY']
    expect(await cli.run('credential', 'add', 'a.example', 'b.example', ...how)).toBe(0)
    expect(seen).toMatchObject({
      ...{ host: 'a.example', kind: 'header', secret: 'hunter2' },
      binding: { otherHosts: ['b.example'], header: 'X-Key', paths: ['/v1/'], variable: 'KEY' },
    })
    expect(await cli.run('credential', 'add', 'a.example', '--path', '/v1/')).toBe(2)
    expect(cli.stderr.text()).toContain('credential_kind_mismatch')
  })

  it('show help and end well', async () => {
    const cli = createTestCli({})
    expect(await cli.run('--help')).toBe(0)
    expect(cli.stdout.text()).toContain('Usage: errand')
  })
})
