// Turns an answer into the true wire format of the Messages API: the events of a stream, or one JSON message.
import { randomBytes } from 'node:crypto'
import { blocksOf, type MessagesRequest } from './conversation.ts'
import type { Answer } from './scenario.ts'

export interface Usage {
  input_tokens: number
  output_tokens: number
  cache_creation_input_tokens: number
  cache_read_input_tokens: number
}

type Block =
  | { type: 'text'; text: string }
  | { type: 'thinking'; thinking: string; signature: string }
  | { type: 'tool_use'; id: string; name: string; input: Record<string, unknown> }

export interface Message {
  id: string
  type: 'message'
  role: 'assistant'
  model: string
  content: Block[]
  stop_reason: 'end_turn' | 'tool_use'
  stop_sequence: null
  usage: Usage
}

interface StreamEvent {
  type: string
  [key: string]: unknown
}

const CHARS_PER_TOKEN = 4
const CHARS_PER_CHUNK = 12

export function createMessage(request: MessagesRequest, answer: Answer): Message {
  const content: Block[] = []
  if (answer.think && request.thinking && request.thinking.type !== 'disabled')
    content.push({ type: 'thinking', thinking: answer.think, signature: randomId('c2ln') })
  if (answer.say) content.push({ type: 'text', text: answer.say })
  for (const { tool, input } of answer.use ?? [])
    content.push({ type: 'tool_use', id: randomId('toolu_01'), name: tool, input })
  return {
    id: randomId('msg_01'),
    type: 'message',
    role: 'assistant',
    model: request.model,
    content,
    stop_reason: answer.use?.length ? 'tool_use' : 'end_turn',
    stop_sequence: null,
    usage: countUsage(request, content),
  }
}

/** The events of one streamed message, in order. */
export function streamEvents(message: Message): StreamEvent[] {
  const { usage, content, stop_reason } = message
  const started = {
    ...message,
    content: [],
    stop_reason: null,
    usage: { ...usage, output_tokens: 1 },
  }
  return [
    { type: 'message_start', message: started },
    { type: 'ping' },
    ...content.flatMap(blockEvents),
    { type: 'message_delta', delta: { stop_reason, stop_sequence: null }, usage },
    { type: 'message_stop' },
  ]
}

export function encodeEvent(event: StreamEvent): string {
  return `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`
}

/** About four characters a token: what `count_tokens` answers. */
export function countInputTokens(request: MessagesRequest): number {
  return tokensOf([request.system, request.tools, request.messages])
}

export function randomId(prefix: string): string {
  return prefix + randomBytes(12).toString('hex')
}

function blockEvents(block: Block, index: number): StreamEvent[] {
  const started: Block =
    block.type === 'text'
      ? { ...block, text: '' }
      : block.type === 'thinking'
        ? { ...block, thinking: '', signature: '' }
        : { ...block, input: {} }
  return [
    { type: 'content_block_start', index, content_block: started },
    ...deltas(block).map((delta) => ({ type: 'content_block_delta', index, delta })),
    { type: 'content_block_stop', index },
  ]
}

function deltas(block: Block): StreamEvent[] {
  switch (block.type) {
    case 'text':
      return chunks(block.text).map((text) => ({ type: 'text_delta', text }))
    case 'thinking':
      return [
        ...chunks(block.thinking).map((thinking) => ({ type: 'thinking_delta', thinking })),
        { type: 'signature_delta', signature: block.signature },
      ]
    case 'tool_use':
      return ['', ...chunks(JSON.stringify(block.input))].map((partial_json) => ({
        type: 'input_json_delta',
        partial_json,
      }))
  }
}

/** Everything before the newest message counts as cached, as with Claude Code's own cache marks. */
function countUsage(request: MessagesRequest, content: Block[]): Usage {
  const earlier = request.messages.slice(0, -1)
  const newest = tokensOf(blocksOf(request.messages.at(-1)?.content ?? ''))
  const prefix = tokensOf([request.system, request.tools, earlier])
  const first = earlier.length === 0
  return {
    input_tokens: 4,
    output_tokens: tokensOf(content),
    cache_creation_input_tokens: first ? prefix + newest : newest,
    cache_read_input_tokens: first ? 0 : prefix,
  }
}

function tokensOf(value: unknown): number {
  return Math.ceil(JSON.stringify(value).length / CHARS_PER_TOKEN)
}

/** Cuts by code point, so that no chunk holds half a character. */
function chunks(text: string): string[] {
  const points = [...text]
  const count = Math.ceil(points.length / CHARS_PER_CHUNK)
  return Array.from({ length: count }, (_, i) =>
    points.slice(i * CHARS_PER_CHUNK, (i + 1) * CHARS_PER_CHUNK).join(''),
  )
}
