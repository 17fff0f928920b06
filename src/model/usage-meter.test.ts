import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeAwsMessage } from './aws-event-stream.fixture.ts'
import { createUsageMeter } from './usage-meter.ts'

const event = (value: { type: string }) =>
  `event: ${value.type}\ndata: ${JSON.stringify(value)}\n\n`
const start = event({
  type: 'message_start',
  message: {
    model: 'claude-opus-5-5',
    usage: {
      input_tokens: 4,
      output_tokens: 1,
      cache_read_input_tokens: 100,
      cache_creation_input_tokens: 20,
      cache_creation: { ephemeral_1h_input_tokens: 5 },
    },
  },
} as { type: string })
const text = (value: string) =>
  event({ type: 'content_block_delta', delta: { type: 'text_delta', text: value } } as {
    type: string
  })
const end = [
  event({
    type: 'message_delta',
    delta: { stop_reason: 'end_turn' },
    usage: { output_tokens: 42 },
  } as {
    type: string
  }),
  event({ type: 'message_stop' }),
].join('')

function meter(type: string, ...chunks: (string | Buffer)[]) {
  const counted = createUsageMeter(type)
  for (const chunk of chunks) counted.push(Buffer.from(chunk as string))
  return counted.end()
}

describe('createUsageMeter', () => {
  it('counts a stream, however its bytes are cut', () => {
    const bytes = Buffer.from(start + text('Grüße 🙂') + end)
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 50 }), (step) => {
        const counted = createUsageMeter('text/event-stream; charset=utf-8')
        for (let i = 0; i < bytes.length; i += step) counted.push(bytes.subarray(i, i + step))
        expect(counted.end()).toMatchObject({
          model: 'claude-opus-5-5',
          inputTokens: 4,
          outputTokens: 42,
          cacheReadTokens: 100,
          cacheCreationTokens: 20,
          cacheCreation1hTokens: 5,
          stopReason: 'end_turn',
          complete: true,
        })
      }),
    )
  })

  it('keeps what the start told where a later event says 0', () => {
    const zeros = { input_tokens: 0, cache_read_input_tokens: 0, cache_creation_input_tokens: 0 }
    const last = event({
      type: 'message_delta',
      delta: { stop_reason: 'end_turn' },
      usage: { ...zeros, cache_creation: { ephemeral_1h_input_tokens: 0 }, output_tokens: 42 },
    } as { type: string })
    expect(meter('text/event-stream', start, last)).toMatchObject({
      ...{ inputTokens: 4, outputTokens: 42, cacheReadTokens: 100 },
      ...{ cacheCreationTokens: 20, cacheCreation1hTokens: 5 },
    })
  })

  it('estimates what a cut stream wrote', () => {
    const usage = meter('text/event-stream', start, text('x'.repeat(400)))
    expect(usage).toMatchObject({ inputTokens: 4, outputTokens: 100, complete: false })
  })

  it('sees an error in the stream', () => {
    const error = { type: 'overloaded_error', message: 'Overloaded' }
    const usage = meter(
      'text/event-stream',
      start,
      event({ type: 'error', error } as { type: string }),
    )
    expect(usage).toMatchObject({ streamError: error, complete: false })
  })

  it('counts a message in JSON', () => {
    const message = { type: 'message', model: 'm', usage: { input_tokens: 3, output_tokens: 7 } }
    expect(meter('application/json', JSON.stringify(message))).toMatchObject({
      model: 'm',
      inputTokens: 3,
      outputTokens: 7,
      complete: true,
    })
  })

  it('takes nothing from what is neither', () => {
    expect(meter('text/html', '<html>')).toMatchObject({ inputTokens: 0, complete: false })
    const odd = event({
      type: 'message_delta',
      usage: { output_tokens: -5, input_tokens: '9' },
    } as {
      type: string
    })
    expect(meter('text/event-stream', 'data: {oops\n\n', odd)).toMatchObject({
      inputTokens: 0,
      outputTokens: 0,
    })
  })
})

describe('the event stream of Bedrock', () => {
  const TYPE = 'application/vnd.amazon.eventstream'
  const frame = (value: unknown) => {
    const bytes = Buffer.from(JSON.stringify(value)).toString('base64')
    const headers = { ':message-type': 'event', ':event-type': 'chunk' }
    return encodeAwsMessage(headers, Buffer.from(JSON.stringify({ bytes })))
  }
  const started = frame({
    type: 'message_start',
    message: { model: 'claude-opus-5-5', usage: { input_tokens: 4, output_tokens: 1 } },
  })

  it('is counted as the other one is', () => {
    const stopped = [
      frame({
        type: 'message_delta',
        delta: { stop_reason: 'end_turn' },
        usage: { output_tokens: 42 },
      }),
      frame({ type: 'message_stop' }),
    ]
    expect(meter(TYPE, started, ...stopped)).toMatchObject({
      ...{ model: 'claude-opus-5-5', inputTokens: 4, outputTokens: 42 },
      ...{ stopReason: 'end_turn', complete: true },
    })
  })

  it('tells an exception as an error of the API', () => {
    const thrown = encodeAwsMessage(
      { ':message-type': 'exception', ':exception-type': 'throttlingException' },
      Buffer.from('{"message":"slow down"}'),
    )
    expect(meter(TYPE, started, thrown)).toMatchObject({
      complete: false,
      streamError: { type: 'rate_limit_error', message: 'slow down' },
    })
  })

  it('counts as broken off when it is damaged', () => {
    expect(meter(TYPE, started, Buffer.alloc(64))).toMatchObject({
      complete: false,
      inputTokens: 4,
    })
  })
})
