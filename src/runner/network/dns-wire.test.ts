import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { answerPacket, DNS_CODE, DNS_TYPE, encodeQuery, parseQuery } from './dns-wire.ts'

const label = fc.stringMatching(/^[a-z0-9_-]{1,20}$/)
const name = fc.array(label, { minLength: 1, maxLength: 6 }).map((labels) => labels.join('.'))
const nothing = { code: DNS_CODE.ok, records: [] }

describe('parseQuery', () => {
  it('reads back what was asked, whatever name and type', () => {
    fc.assert(
      fc.property(name, fc.integer({ min: 1, max: 65_535 }), (asked, type) => {
        const packet = encodeQuery(7, { name: asked, type })
        expect(parseQuery(packet)).toEqual({
          kind: 'question',
          question: { name: asked, type },
          end: packet.length,
        })
      }),
    )
  })

  it('never throws, and answers with the same id if at all', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
        const answer = answerPacket(Buffer.from(bytes), () => nothing)
        if (answer) expect(answer.subarray(0, 2)).toEqual(Buffer.from(bytes.subarray(0, 2)))
      }),
    )
  })

  it('calls a cut or pointing name malformed', () => {
    const whole = encodeQuery(1, { name: 'a.example', type: DNS_TYPE.A })
    for (let end = 12; end < whole.length; end++)
      expect(parseQuery(whole.subarray(0, end))).toEqual({
        kind: 'refused',
        code: DNS_CODE.malformed,
      })
    const pointing = Buffer.from(whole)
    pointing[12] = 0xc0
    expect(parseQuery(pointing)).toEqual({ kind: 'refused', code: DNS_CODE.malformed })
  })

  it('says nothing to answers and to fragments', () => {
    const answer = encodeQuery(1, { name: 'a.example', type: 1 })
    answer[2] = 0x81
    expect(parseQuery(answer)).toEqual({ kind: 'ignored' })
    expect(answerPacket(Buffer.alloc(5), () => nothing)).toBeUndefined()
  })

  it('does not implement anything but queries', () => {
    const notify = encodeQuery(1, { name: 'a.example', type: 1 })
    notify[2] = 0x20
    const answer = answerPacket(notify, () => nothing)
    expect((answer?.[3] ?? 0) & 0xf).toBe(DNS_CODE.notImplemented)
  })
})

describe('answerPacket', () => {
  it('carries an address', () => {
    const query = encodeQuery(9, { name: 'a.example', type: DNS_TYPE.A })
    const answer = answerPacket(query, () => ({
      code: DNS_CODE.ok,
      records: [{ type: DNS_TYPE.A, value: '198.18.0.7', ttlSeconds: 60 }],
    }))
    expect(answer?.readUInt16BE(6)).toBe(1)
    expect(answer?.subarray(-4)).toEqual(Buffer.from([198, 18, 0, 7]))
    expect(answer?.subarray(12, query.length)).toEqual(query.subarray(12))
  })
})
