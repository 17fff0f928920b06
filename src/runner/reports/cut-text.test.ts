import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeLine } from '../../lib/ndjson.ts'
import {
  MAX_FRAME_BYTES,
  type RunnerReport,
  runnerReportSchema,
} from '../../protocol/runner-frames.ts'
import { cutJson, cutText, fitReport } from './cut-text.ts'

const turnId = 't_abcdefghijklmnopqrst'

describe('cutText', () => {
  it('leaves short text alone', () => {
    expect(cutText('short', 100)).toEqual({ text: 'short', truncated: false })
  })

  it('keeps both ends and stays within the limit', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 101, maxLength: 500 }), (text) => {
        const cut = cutText(text, 100)
        expect(cut.truncated).toBe(true)
        expect(cut.text.length).toBeLessThanOrEqual(100)
        expect(text.startsWith(cut.text.slice(0, 20))).toBe(true)
        expect(text.endsWith(cut.text.slice(-20))).toBe(true)
        if (text.isWellFormed()) expect(cut.text.isWellFormed()).toBe(true)
      }),
    )
  })

  it('says how much is missing', () => {
    const { text } = cutText('x'.repeat(1_000), 200)
    const left = Number(/\[… (\d+) characters left out …\]/.exec(text)?.[1])
    expect(text.match(/x/g)?.length).toBe(1_000 - left)
  })
})

describe('fitReport', () => {
  const reports: RunnerReport[] = [
    { type: 'assistant.text', turnId, uuid: 'u', text: '\u0001'.repeat(500_000) },
    {
      type: 'tool.called',
      turnId,
      uuid: 'u',
      toolUseId: 'x',
      name: 'n'.repeat(5_000),
      parentToolUseId: null,
      input: { content: 'é'.repeat(900_000), list: Array(1_000).fill('y'.repeat(1_000)) },
    },
    {
      type: 'tool.returned',
      turnId,
      uuid: 'u',
      toolUseId: 'x',
      output: '"'.repeat(900_000),
      isError: false,
      truncated: false,
    },
    {
      type: 'tool.called',
      turnId,
      uuid: 'u',
      toolUseId: 'x',
      name: 'Many',
      parentToolUseId: null,
      input: { numbers: Array(900_000).fill(7) },
    },
    { type: 'turn.failed', turnId, reason: 'r'.repeat(9_000), message: 'm'.repeat(900_000) },
  ]

  it.each(reports)('makes $type fit the schema and a frame', (report) => {
    const fitted = fitReport(report)
    expect(runnerReportSchema.safeParse(fitted).success).toBe(true)
    const frame = encodeLine({ type: 'report', n: 1, report: fitted })
    expect(Buffer.byteLength(frame)).toBeLessThan(MAX_FRAME_BYTES)
  })

  it('marks what it cut', () => {
    expect(fitReport(reports[2] as RunnerReport)).toMatchObject({ truncated: true })
  })
})

describe('cutJson', () => {
  it('changes nothing that is small', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => {
        expect(JSON.stringify(cutJson(value))).toBe(JSON.stringify(value))
      }),
    )
  })
})
