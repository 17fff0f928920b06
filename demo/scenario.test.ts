import { describe, expect, it } from 'vitest'
import type { Conversation } from './conversation.ts'
import { chooseAnswer, loadScenarios, type Scenario } from './scenario.ts'

const at = (over: Partial<Conversation>): Conversation => ({
  prompts: ['go'],
  answered: 0,
  lastToolResult: '',
  cwd: '/w',
  ...over,
})
const scenario: Scenario = {
  name: 'test',
  about: '',
  turns: [
    {
      prompt: '^go',
      steps: [
        { use: [{ tool: 'Read', input: { path: '{{cwd}}/a', deep: ['{{prompt}}'] } }] },
        [{ ifLastResult: '^fail 0', say: 'good' }, { say: 'bad: {{match:fail (\\d+)}}' }],
      ],
    },
    { prompt: 'more', steps: [{ say: 'after {{firstPrompt}} {{unknown}}' }] },
  ],
}
const say = (over: Partial<Conversation>) => chooseAnswer([scenario], at(over))?.answer.say

describe('chooseAnswer', () => {
  it('fills templates in deep', () => {
    expect(chooseAnswer([scenario], at({}))?.answer.use).toEqual([
      { tool: 'Read', input: { path: '/w/a', deep: ['go'] } },
    ])
  })

  it('chooses by the newest result', () => {
    expect(say({ answered: 1, lastToolResult: 'x\nfail 0' })).toBe('good')
    expect(say({ answered: 1, lastToolResult: 'fail 2' })).toBe('bad: 2')
  })

  it('fills in what was asked last of a kind', () => {
    const asked: Scenario = {
      ...scenario,
      turns: [{ prompt: 'go on', steps: [{ say: '{{asked:note (\\w+)}} {{asked:no (such)}}' }] }],
    }
    const prompts = ['note a', 'note b', 'go on']
    expect(chooseAnswer([asked], at({ prompts }))?.answer.say).toBe('b ?')
  })

  it('answers a later turn only when the earlier one was asked', () => {
    expect(say({ prompts: ['go', 'MORE'] })).toBe('after go {{unknown}}')
    expect(say({ prompts: ['more'] })).toBeUndefined()
  })

  it('ends politely behind the last step', () => {
    expect(say({ answered: 9 })).toBe('There is nothing left to do.')
  })
})

describe('loadScenarios', () => {
  it('reads every file, each under its own name, and answers each first prompt by one scenario only', () => {
    const scenarios = loadScenarios()
    expect(scenarios.length).toBeGreaterThan(10)
    expect(scenarios.map(({ name }) => name)).not.toContain('no-fix')
    for (const { name, turns } of scenarios) {
      expect(loadScenarios([name])[0]?.name).toBe(name)
      const prompt = turns[0]?.prompt.replace(/\W/g, ' ') ?? ''
      const found = scenarios.filter((one) => chooseAnswer([one], at({ prompts: [prompt] })))
      expect(found.length).toBeLessThanOrEqual(1)
    }
  })
})
