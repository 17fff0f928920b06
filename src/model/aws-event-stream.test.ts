import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeAwsMessage } from './aws-event-stream.fixture.ts'
import { type AwsMessage, createAwsStreamReader } from './aws-event-stream.ts'

function read(...chunks: Buffer[]): AwsMessage[] {
  const messages: AwsMessage[] = []
  const reader = createAwsStreamReader((message) => messages.push(message))
  for (const chunk of chunks) reader(chunk)
  return messages
}

describe('createAwsStreamReader', () => {
  it('reads the same messages however they are cut', () => {
    const messages = fc.array(
      fc.record({
        headers: fc.dictionary(fc.stringMatching(/^:?[a-z-]{1,20}$/), fc.string({ maxLength: 50 })),
        payload: fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
      }),
      { maxLength: 5 },
    )
    fc.assert(
      fc.property(messages, fc.array(fc.nat(400)), (sent, cuts) => {
        const whole = Buffer.concat(sent.map((one) => encodeAwsMessage(one.headers, one.payload)))
        const at = [0, ...cuts.map((cut) => cut % (whole.length + 1)), whole.length]
        const places = at.toSorted((a, b) => a - b)
        const chunks = places.slice(1).map((end, i) => whole.subarray(places[i], end))
        const seen = read(...chunks).map(({ headers, payload }) => ({ ...headers, payload }))
        expect(seen).toEqual(sent.map(({ headers, payload }) => ({ ...headers, payload })))
      }),
    )
  })

  it('skips headers of other types', () => {
    const message = encodeAwsMessage({ a: 'text' }, Buffer.from('x'))
    expect(read(message)).toEqual([{ headers: { a: 'text' }, payload: Buffer.from('x') }])
  })

  it('throws for damage and for what is no such stream', () => {
    const message = encodeAwsMessage({ a: 'b' }, Buffer.from('payload'))
    const damaged = Buffer.from(message)
    damaged[damaged.length - 6] = (damaged[damaged.length - 6] ?? 0) ^ 1
    expect(() => read(damaged)).toThrow('damaged')
    expect(() => read(Buffer.from('event: message_start\ndata: {}\n\n'))).toThrow('not an event')
  })
})
