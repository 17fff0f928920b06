import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createLineSplitter, encodeLine, LineTooLongError } from './ndjson.ts'

describe('createLineSplitter', () => {
  it('gives back what was encoded, however the bytes are cut', () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue()), fc.integer({ min: 1, max: 7 }), (values, step) => {
        const bytes = Buffer.from(values.map(encodeLine).join(''))
        const split = createLineSplitter(1 << 20)
        const lines: string[] = []
        for (let i = 0; i < bytes.length; i += step)
          lines.push(...split(bytes.subarray(i, i + step)))
        expect(lines).toEqual(values.map((value) => JSON.stringify(value)))
      }),
    )
  })

  it('refuses a line over the cap, whole or in parts', () => {
    expect(() => createLineSplitter(4)(Buffer.from('12345\n'))).toThrow(LineTooLongError)
    const split = createLineSplitter(4)
    split(Buffer.from('123'))
    expect(() => split(Buffer.from('45'))).toThrow(LineTooLongError)
  })
})
