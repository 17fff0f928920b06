// What a runner reports is stored without the values of credentials, also where output comes in pieces.
import { expect, it } from 'vitest'
import { createRedactor, REDACTED } from '../lib/redact.ts'
import type { RunnerReport } from '../protocol/runner-frames.ts'
import { createReportRedaction } from './redaction.ts'

const SECRET = 'tok-s3cret-0123456789'
const turnId = `t_${'a'.repeat(20)}`
const create = () => {
  const redactor = createRedactor([SECRET])
  return createReportRedaction(() => redactor)
}
const output = (text: string): RunnerReport => ({ type: 'command.output', turnId, text })
const completed: RunnerReport = { type: 'turn.completed', turnId, exitCode: 0, durationMs: 1 }

it('takes values out of every text of a report and leaves its ids', () => {
  const base64 = Buffer.from(`user:${SECRET}`).toString('base64')
  const report: RunnerReport = {
    ...{ type: 'tool.called', turnId, uuid: 'u', toolUseId: 'x', name: 'Bash' },
    input: { command: `curl -H 'Authorization: Basic ${base64}'`, env: [{ KEY: SECRET }] },
    parentToolUseId: null,
  }
  const [plain] = create().report(report)
  expect(JSON.stringify(plain)).not.toContain(SECRET)
  expect(plain).toMatchObject({ type: 'tool.called', turnId, input: { env: [{ KEY: REDACTED }] } })
})

it('finds a value that is split between two pieces of output', () => {
  const redaction = create()
  const stored = [
    ...redaction.report(output(`a ${SECRET.slice(0, 9)}`)),
    ...redaction.report(output(`${SECRET.slice(9)} b`)),
    ...redaction.report(completed),
  ]
  expect(stored.map((one) => ('text' in one ? one.text : one.type))).toEqual([
    ...['a ', `${REDACTED} b`, 'turn.completed'],
  ])
})

it('loses nothing that was only like the beginning of a value', () => {
  const redaction = create()
  const stored = [...redaction.report(output('ends with tok-')), ...redaction.report(completed)]
  expect(stored).toEqual([output('ends with '), output('tok-'), completed])
})

it('holds for text that is shown while it is written', () => {
  const redaction = create()
  const shown = [...`see ${SECRET}!`].map((text) => redaction.delta({ turnId, text }))
  expect(shown.join('')).toBe(`see ${REDACTED}!`)
})
