import { describe, expect, it } from 'vitest'
import { messagesRequestSchema, readConversation } from './conversation.ts'

const text = (value: string) => ({ type: 'text', text: value })
const result = (value: string, isError = false) => ({
  type: 'tool_result',
  content: value,
  is_error: isError,
})
const user = (...content: unknown[]) => ({ role: 'user', content })
const assistant = (...content: unknown[]) => ({ role: 'assistant', content })
const read = (...messages: unknown[]) =>
  readConversation(messagesRequestSchema.parse({ model: 'm', messages }))

describe('readConversation', () => {
  it('finds the prompt among reminders and the folder in the system message', () => {
    const conversation = read(
      user(text('<system-reminder>\nCLAUDE.md\n</system-reminder>'), text('Make it work')),
      { role: 'system', content: '# Environment\n - Primary working directory: /workspace/cart\n' },
    )
    expect(conversation).toMatchObject({
      prompts: ['Make it work'],
      answered: 0,
      cwd: '/workspace/cart',
    })
  })

  it('takes a message that broke off as not answered yet', () => {
    const conversation = read(
      user(text('first')),
      assistant(text('half a')),
      user(
        text('Your response above was cut off mid-stream. Resume directly from where it stops.'),
      ),
    )
    expect(conversation).toMatchObject({ prompts: ['first'], answered: 0 })
  })

  it('counts the answers since the last prompt and reads the newest results', () => {
    const conversation = read(
      user(text('first')),
      assistant(text('done')),
      user(text('second')),
      assistant(text('a')),
      user(result('old')),
      assistant(text('b')),
      user(result('one'), result('two', true), text('<system-reminder>x</system-reminder>')),
    )
    expect(conversation).toMatchObject({
      prompts: ['first', 'second'],
      answered: 2,
      lastToolResult: 'one\ntwo',
    })
  })

  it('takes the text after an interruption for a prompt, beside tool results too', () => {
    const conversation = read(
      user(text('first')),
      assistant(text('a')),
      user(
        result('stopped', true),
        text('[Request interrupted by user for tool use]'),
        text('second'),
      ),
    )
    expect(conversation).toMatchObject({ prompts: ['first', 'second'], answered: 0 })
  })
})
