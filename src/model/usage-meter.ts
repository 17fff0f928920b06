// Counts the tokens of one answer of the Messages API on the side, from the bytes that pass: a stream of events or one JSON
// message. Never changes or holds back a byte. What it counts is what the upstream says; an answer that broke off before the
// upstream said how much it wrote is estimated from what was seen, so that breaking off is no way around a limit.
import { createParser, type EventSourceMessage } from 'eventsource-parser'
import { type AwsMessage, createAwsStreamReader } from './aws-event-stream.ts'

export interface TokenCounts {
  inputTokens: number
  outputTokens: number
  cacheReadTokens: number
  cacheCreationTokens: number
  cacheCreation1hTokens: number
}

export interface MeteredUsage extends TokenCounts {
  /** The model that answered, as the upstream names it. */
  model: string | undefined
  /** What the upstream took to shorten the conversation before it answered: billed, and in none of the counts above. */
  compactions: TokenCounts[]
  inferenceGeo: string | undefined
  speed: string | undefined
  stopReason: string | null
  /** The stream ended as it should: with message_stop. Always true for a JSON answer that could be read. */
  complete: boolean
  /** An `error` event in the stream. */
  streamError: { type: string; message: string } | undefined
}

export interface UsageMeter {
  /** True when the upstream said in it how much was used; `used` is that then. */
  push(chunk: Buffer): boolean
  /** What it has said so far. */
  used(): MeteredUsage
  /** Ends the count; call it once, after the last chunk. */
  end(): MeteredUsage
}

const MAX_JSON_BYTES = 16 << 20
const MAX_EVENT_CHARS = 16 << 20
const CHARS_PER_TOKEN = 4

type Json = Record<string, unknown>

export function createUsageMeter(contentType: string | undefined): UsageMeter {
  if (contentType?.startsWith('text/event-stream')) return createStreamMeter(readServerSentEvents)
  if (contentType?.startsWith(AWS_STREAM)) return createStreamMeter(readAwsEvents)
  return createJsonMeter()
}

const AWS_STREAM = 'application/vnd.amazon.eventstream'

/** Takes chunks and tells the events in them; throws when it can read no more. */
type EventReader = (onEvent: (event: Json) => void) => (chunk: Buffer) => void

const readServerSentEvents: EventReader = (onEvent) => {
  const decoder = new TextDecoder()
  const parser = createParser({
    maxBufferSize: MAX_EVENT_CHARS,
    onError: (error) => {
      if (error.type === 'max-buffer-size-exceeded') throw error
    },
    onEvent: ({ data }: EventSourceMessage) => {
      const event = parseObject(data)
      if (event) onEvent(event)
    },
  })
  return (chunk) => parser.feed(decoder.decode(chunk, { stream: true }))
}

const readAwsEvents: EventReader = (onEvent) =>
  createAwsStreamReader((message) => {
    const event = eventOf(message)
    if (event) onEvent(event)
  })

/** An event of the Messages API is in the field `bytes`; an exception is what the API calls an error. */
function eventOf({ headers, payload }: AwsMessage): Json | undefined {
  const body = parseObject(payload.toString('utf8'))
  if (headers[':message-type'] === 'event') {
    if (typeof body?.bytes !== 'string') return undefined
    return parseObject(Buffer.from(body.bytes, 'base64').toString('utf8'))
  }
  const name = headers[':exception-type'] ?? headers[':error-code'] ?? ''
  const type = AWS_EXCEPTIONS[name] ?? 'api_error'
  return { type: 'error', error: { type, message: body?.message ?? name } }
}

const AWS_EXCEPTIONS: Readonly<Record<string, string>> = {
  throttlingException: 'rate_limit_error',
  serviceUnavailableException: 'overloaded_error',
  validationException: 'invalid_request_error',
}

function createStreamMeter(createReader: EventReader): UsageMeter {
  const usage = emptyUsage()
  let seenChars = 0
  let closed = false
  let readable = true
  let hasNews = false
  const read = createReader((event) => {
    if (event.type === 'content_block_delta') seenChars += deltaChars(event.delta)
    if (event.type === 'message_delta') closed = true
    if (event.type === 'message_delta' || event.type === 'message_start') hasNews = true
    readEvent(usage, event)
  })
  return {
    push: (chunk) => {
      hasNews = false
      try {
        if (readable) read(chunk)
      } catch {
        // The rest passes uncounted, and the answer counts as broken off.
        readable = false
      }
      return hasNews
    },
    used: () => usage,
    end: () => {
      if (!closed) usage.outputTokens = Math.max(usage.outputTokens, tokensOf(seenChars))
      return usage
    },
  }
}

function createJsonMeter(): UsageMeter {
  const chunks: Buffer[] = []
  let size = 0
  return {
    push: (chunk) => {
      size += chunk.length
      if (size <= MAX_JSON_BYTES) chunks.push(chunk)
      return false
    },
    used: emptyUsage,
    end: () => {
      const usage = emptyUsage()
      const message = parseObject(Buffer.concat(chunks).toString('utf8'))
      if (!message) return usage
      readMessage(usage, message)
      usage.complete = true
      return usage
    },
  }
}

function readEvent(usage: MeteredUsage, event: Json): void {
  switch (event.type) {
    case 'message_start':
      if (isObject(event.message)) readMessage(usage, event.message)
      break
    case 'message_delta':
      if (isObject(event.usage)) readUsage(usage, event.usage)
      if (isObject(event.delta)) readStopReason(usage, event.delta)
      break
    case 'message_stop':
      usage.complete = true
      break
    case 'error':
      usage.streamError = readError(event)
      break
    default:
  }
}

/** The type and sentence of an error in the API's shape, or of Bedrock's bare `message`; what is missing is left empty. */
export function readError(value: unknown): { type: string; message: string } {
  const outer = isObject(value) ? value : {}
  const error = isObject(outer.error) ? outer.error : outer
  return {
    type: typeof error.type === 'string' ? error.type : 'error',
    message: typeof error.message === 'string' ? error.message.slice(0, 500) : '',
  }
}

function readMessage(usage: MeteredUsage, message: Json): void {
  if (typeof message.model === 'string') usage.model = message.model
  if (isObject(message.usage)) readUsage(usage, message.usage)
  readStopReason(usage, message)
}

/**
 * Later numbers replace earlier ones: those of message_delta are totals. But for 0, which endpoints send there for what
 * message_start has told already; Claude Code reads them the same way.
 */
function readUsage(usage: MeteredUsage, found: Json): void {
  readCounts(usage, found)
  if (Array.isArray(found.iterations)) usage.compactions = readCompactions(found.iterations)
  if (typeof found.inference_geo === 'string') usage.inferenceGeo = found.inference_geo
  if (typeof found.speed === 'string') usage.speed = found.speed
}

function readCounts(counts: TokenCounts, found: Json): void {
  const count = (value: unknown, before: number) =>
    typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : before
  const created = isObject(found.cache_creation) ? found.cache_creation : {}
  counts.inputTokens = count(found.input_tokens, counts.inputTokens)
  counts.outputTokens = count(found.output_tokens, counts.outputTokens)
  counts.cacheReadTokens = count(found.cache_read_input_tokens, counts.cacheReadTokens)
  counts.cacheCreationTokens = count(found.cache_creation_input_tokens, counts.cacheCreationTokens)
  counts.cacheCreation1hTokens = count(
    created.ephemeral_1h_input_tokens,
    counts.cacheCreation1hTokens,
  )
}

function readCompactions(iterations: unknown[]): TokenCounts[] {
  return iterations.filter(isObject).flatMap((one) => {
    if (one.type !== 'compaction') return []
    const counts = noTokens()
    readCounts(counts, one)
    return [counts]
  })
}

function readStopReason(usage: MeteredUsage, found: Json): void {
  if (typeof found.stop_reason === 'string') usage.stopReason = found.stop_reason
}

function deltaChars(delta: unknown): number {
  if (!isObject(delta)) return 0
  return [delta.text, delta.thinking, delta.partial_json]
    .filter((text) => typeof text === 'string')
    .reduce((sum, text) => sum + text.length, 0)
}

function tokensOf(chars: number): number {
  return Math.ceil(chars / CHARS_PER_TOKEN)
}

function noTokens(): TokenCounts {
  return {
    inputTokens: 0,
    outputTokens: 0,
    cacheReadTokens: 0,
    cacheCreationTokens: 0,
    cacheCreation1hTokens: 0,
  }
}

function emptyUsage(): MeteredUsage {
  return {
    model: undefined,
    ...noTokens(),
    compactions: [],
    inferenceGeo: undefined,
    speed: undefined,
    stopReason: null,
    complete: false,
    streamError: undefined,
  }
}

function parseObject(text: string): Json | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : undefined
  } catch {
    // Not JSON: a keep-alive or an error page of something in between. It carries no usage.
    return undefined
  }
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
