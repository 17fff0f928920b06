// The scenarios run to their ends in the real Claude Code, through the model door, on a fresh sample repository. Those that
// search for secrets or reach for hosts do not run here: only inside a sandbox, end to end.
import { afterEach, describe, expect, it } from 'vitest'
import { createRealAgent, type RealAgent } from './real-agent.ts'
import { loadScenarios } from './scenario.ts'

let agent: RealAgent | undefined

afterEach(async () => {
  await agent?.close()
  agent = undefined
})

async function start(options: Parameters<typeof createRealAgent>[0] = {}): Promise<RealAgent> {
  agent = await createRealAgent(options)
  return agent
}

describe('changes', () => {
  it('fixes the failing test and commits', async () => {
    const { ask, git, model, usage, problems } = await start()
    const { calls, result } = await ask('Make the failing test pass.')
    expect(calls.map(({ name }) => name)).toEqual(['Bash', 'Read', 'Edit', 'Bash', 'Bash'])
    expect(calls[0]).toMatchObject({ isError: true, output: expect.stringMatching(/fail 1/) })
    expect(calls[3]).toMatchObject({ isError: false, output: expect.stringMatching(/fail 0/) })
    expect(await git('log', '--format=%s', '-1')).toBe(
      'Give the discount from exactly three pieces on\n',
    )
    expect(await git('diff', '--shortstat', 'HEAD~1')).toMatch(/1 file changed, 1 insertion/)
    expect(await git('status', '--porcelain')).toBe('')
    expect(result).toMatchObject({ subtype: 'success', is_error: false, num_turns: 6 })
    expect(problems).toEqual([])
    expect(usage).toHaveLength(6)
    const cost = usage.reduce((sum, one) => sum + (one.costUsd ?? Number.NaN), 0)
    expect(cost).toBeCloseTo(result.total_cost_usd, 10)
    expect(usage.map(({ outputTokens }) => outputTokens)).toEqual(
      model.requests.map((request) => request.usage?.output_tokens),
    )
    expect(
      model.requests.every(({ headers }) => headers['x-api-key'] !== 'errand-placeholder'),
    ).toBe(true)
  })

  it('pushes by itself when asked to', async () => {
    const { ask, git } = await start()
    await ask('Fix the failing test and push it')
    expect(await git('rev-parse', 'origin/main')).toBe(await git('rev-parse', 'HEAD'))
    expect(await git('rev-list', '--count', 'HEAD')).toBe('2\n')
  })

  it('claims a fix that is none, with the fix taken out', async () => {
    const { ask, git } = await start({ scenarios: loadScenarios(['no-fix']) })
    const { texts } = await ask('Make the failing test pass')
    expect(texts.at(-1)).toBe('The failing test passes now.')
    expect(await git('diff', '--name-only', 'HEAD~1')).toBe('README.md\n')
  })

  it('writes the test first', async () => {
    const { ask } = await start()
    const { calls } = await ask('Fix the receipt amounts, test-first')
    const failed = calls.findIndex(({ output }) => /fail 1/.test(output))
    const edited = calls.findIndex(({ name }) => name === 'Edit')
    const passed = calls.findIndex(({ output }) => /fail 0/.test(output))
    expect(failed).toBeGreaterThan(0)
    expect(edited).toBeGreaterThan(failed)
    expect(passed).toBeGreaterThan(edited)
    expect(calls.at(-1)?.output).toMatch(/Keep the zero/)
  })
})

describe('questions and conversations', () => {
  it('answers a question without a change', async () => {
    const { ask, git } = await start()
    const { texts } = await ask('How does the discount work?')
    expect(texts.at(-1)).toMatch(/takes 10 % off .*\(3\)/)
    expect(await git('status', '--porcelain')).toBe('')
    expect(await git('rev-list', '--count', 'HEAD')).toBe('1\n')
  })

  it.each(['Euro', 'Dollar'])('asks, and works by the answer %s', async (label) => {
    const { ask, git } = await start({
      canUseTool: async (_, input) => {
        const [{ question }] = input.questions as [{ question: string }]
        return { behavior: 'allow', updatedInput: { ...input, answers: { [question]: label } } }
      },
    })
    const { calls } = await ask('Add a currency sign to the receipt')
    expect(calls.map(({ name }) => name)).toEqual(['AskUserQuestion', 'Bash'])
    expect(calls[1]).toMatchObject({ isError: false })
    expect(await git('log', '--format=%s', '-1')).toBe(`Show the currency: ${label}\n`)
  })

  it('keeps the conversation for a follow-up', async () => {
    const { ask, git } = await start()
    await ask('Please add a function isEmpty')
    const { texts, calls } = await ask('Now test it')
    expect(texts[0]).toContain('Please add a function isEmpty')
    expect(calls.every(({ isError }) => !isError)).toBe(true)
    expect(await git('rev-list', '--count', 'HEAD')).toBe('3\n')
  })

  it('renames in two files', async () => {
    const { ask, git } = await start()
    const { calls } = await ask('Rename lineTotal')
    expect(calls.map(({ name }) => name)).toEqual(['Read', 'Read', 'Edit', 'Edit', 'Bash'])
    expect(await git('diff', '--name-only', 'HEAD~1')).toBe('src/cart.js\ntest/cart.test.js\n')
  })
})

describe('the unusual', () => {
  it('can be interrupted in a text and in a command, and goes on', async () => {
    const running = await start()
    const slow = await running.ask('Think slowly', (message) => {
      const streaming =
        message.type === 'stream_event' && message.event.type === 'content_block_delta'
      if (streaming) void running.query.interrupt()
    })
    expect(slow.result).toMatchObject({ is_error: true, terminal_reason: 'aborted_streaming' })
    const waiting = await running.ask('Wait in a command', (message) => {
      const called = message.type === 'assistant' && message.message.content[0]?.type === 'tool_use'
      if (called) void running.query.interrupt()
    })
    expect(waiting.result).toMatchObject({ is_error: true, terminal_reason: 'aborted_tools' })
    const after = await running.ask('How does the discount work?')
    expect(after.result).toMatchObject({ is_error: false })
  })

  it('tries pushes of every kind, and tells what came of each', async () => {
    const { ask } = await start()
    const { calls } = await ask('Push everywhere')
    expect(calls[0]?.output.match(/^exit /gm)).toHaveLength(11)
  })

  it('does not know what it has no scenario for, and says so', async () => {
    const { ask } = await start()
    const { texts, calls } = await ask('Write me a poem')
    expect(calls).toEqual([])
    expect(texts).toEqual([expect.stringContaining('scripted model')])
  })
})

describe('model errors', () => {
  it.each([
    [{ kind: 'status', status: 429, retryAfterSeconds: 0 } as const, 'model_rate_limited'],
    [{ kind: 'status', status: 529 } as const, 'model_overloaded'],
    [{ kind: 'status', status: 500 } as const, 'model_failed'],
    [{ kind: 'cut', afterEvents: 6 } as const, 'model_stream_cut'],
    [{ kind: 'error-event', afterEvents: 6 } as const, 'model_overloaded'],
  ])('recovers from %o and the session learns %s', async (fault, reason) => {
    const { ask, model, problems } = await start()
    model.failNext(fault)
    const { result } = await ask('How does the discount work?')
    expect(result).toMatchObject({ is_error: false })
    expect(problems.map((problem) => problem.reason)).toEqual([reason])
  })

  it('gives up on a refused key with a sentence', async () => {
    const { ask, model, problems } = await start({ maxRetries: 1 })
    for (let i = 0; i < 2; i++) model.failNext({ kind: 'status', status: 401 })
    const { result, messages } = await ask('How does the discount work?')
    expect(result).toMatchObject({
      is_error: true,
      terminal_reason: 'api_error',
      api_error_status: 401,
    })
    expect(
      messages.some((message) => message.type === 'system' && message.subtype === 'api_retry'),
    ).toBe(true)
    expect(problems.map(({ reason }) => reason)).toEqual([
      'model_unauthenticated',
      'model_unauthenticated',
    ])
  })
})
