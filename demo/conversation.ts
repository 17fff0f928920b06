// What a Messages API request says about the conversation so far. The scripted model keeps no state between requests:
// everything it answers by is read from the request with these functions.
import { z } from 'zod'

const blockSchema = z.looseObject({ type: z.string() })
export type ContentBlock = z.infer<typeof blockSchema>

const messageSchema = z.looseObject({
  role: z.string(),
  content: z.union([z.string(), z.array(blockSchema)]),
})

/** The part of a request body that the scripted model looks at. */
export const messagesRequestSchema = z.looseObject({
  model: z.string(),
  max_tokens: z.number().optional(),
  stream: z.boolean().optional(),
  system: z.union([z.string(), z.array(blockSchema)]).optional(),
  messages: z.array(messageSchema).min(1),
  tools: z.array(z.looseObject({})).optional(),
  thinking: z.looseObject({ type: z.string() }).optional(),
})
export type MessagesRequest = z.infer<typeof messagesRequestSchema>

/** How Claude Code begins the request for the rest of a message that broke off. */
const CUT_OFF = 'Your response above was cut off'

export interface Conversation {
  /** All prompts that a person wrote, oldest first; the last one is what is being answered. */
  prompts: string[]
  /** How many assistant messages answer the last prompt already. */
  answered: number
  /** The text of the newest tool results, empty before the first. */
  lastToolResult: string
  /** The agent's working directory, from the system prompt; empty when that does not say it. */
  cwd: string
}

export function readConversation(request: MessagesRequest): Conversation {
  const prompts: string[] = []
  let answered = 0
  let results: ContentBlock[] = []
  for (const message of request.messages) {
    if (message.role === 'assistant') {
      answered += 1
      continue
    }
    const blocks = blocksOf(message.content)
    const found = blocks.filter((block) => block.type === 'tool_result')
    if (found.length > 0) results = found
    const prompt = promptOf(blocks)
    if (prompt.startsWith(CUT_OFF)) {
      // The agent asks for the rest of a message whose stream broke: the step is not answered yet.
      answered -= 1
      continue
    }
    if (prompt !== '' && message.role === 'user') {
      prompts.push(prompt)
      answered = 0
    }
  }
  return {
    prompts,
    answered,
    lastToolResult: results.map((result) => textOf(result.content)).join('\n'),
    cwd: /working directory: (\S+)/i.exec(allText(request))?.[1] ?? '',
  }
}

/** The text of a string, a content block or a list of blocks. */
export function textOf(content: unknown): string {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return ''
  return content.map((block) => (typeof block?.text === 'string' ? block.text : '')).join('\n')
}

export function lastUserText(request: MessagesRequest): string {
  const last = request.messages.findLast((message) => message.role === 'user')
  return last ? textOf(last.content) : ''
}

export function blocksOf(content: string | ContentBlock[]): ContentBlock[] {
  return typeof content === 'string' ? [{ type: 'text', text: content }] : content
}

function allText(request: MessagesRequest): string {
  return [textOf(request.system), ...request.messages.map(({ content }) => textOf(content))].join(
    '\n',
  )
}

const INTERRUPTED = '[Request interrupted by user'

/**
 * What a person wrote: Claude Code adds reminders and interruption marks as further text blocks of the same message. Beside
 * tool results only the text after an interruption is a prompt.
 */
function promptOf(blocks: ContentBlock[]): string {
  const texts = blocks
    .filter((block) => block.type === 'text')
    .map((block) => withoutReminders(String(block.text)))
  const interrupted = texts.some((text) => text.startsWith(INTERRUPTED))
  if (!interrupted && blocks.some((block) => block.type === 'tool_result')) return ''
  return texts.filter((text) => text !== '' && !text.startsWith(INTERRUPTED)).join('\n')
}

function withoutReminders(text: string): string {
  return text.replace(/<system-reminder>[\s\S]*?<\/system-reminder>/g, '').trim()
}
