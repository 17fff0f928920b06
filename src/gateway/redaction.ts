// Takes the values of credentials out of what a runner reports, before anything of it is stored or shown. Output that comes in
// pieces is looked at as one text: what may be the beginning of a value is held back until more comes, or the turn ends.
// What this does not protect against: forms that lib/redact.ts does not know, and a value of which the runner's cutting of
// long output has left a part.
import type { RedactedStream, Redactor } from '../lib/redact.ts'
import type { RunnerReport } from '../protocol/runner-frames.ts'

export interface ReportRedaction {
  /** What to store in place of a report, in this order; of the last one `n` is taken. */
  report(report: RunnerReport): RunnerReport[]
  delta(delta: { turnId: string; text: string }): string
}

interface Stream {
  turnId: string
  from: Redactor
  text: RedactedStream
}

/** For one session; `redactor` may be another one each time that credentials change. */
export function createReportRedaction(redactor: () => Redactor): ReportRedaction {
  let output: Stream | undefined
  let live: Stream | undefined
  const continued = (stream: Stream | undefined, turnId: string): Stream => {
    const from = redactor()
    return stream?.turnId === turnId && stream.from === from
      ? stream
      : { turnId, from, text: from.stream() }
  }
  const held = (): RunnerReport[] => {
    const rest = output?.text.end() ?? ''
    const { turnId = '' } = output ?? {}
    output = undefined
    return rest === '' ? [] : [{ type: 'command.output', turnId, text: rest }]
  }
  return {
    report: (report) => {
      if (report.type === 'command.output') {
        const next = continued(output, report.turnId)
        const before = output === next ? [] : held()
        output = next
        return [...before, { ...report, text: next.text.push(report.text) }]
      }
      const before = report.type.startsWith('turn.') ? held() : []
      return [...before, redactReport(report, redactor())]
    },
    delta: ({ turnId, text }) => {
      live = continued(live, turnId)
      return live.text.push(text)
    },
  }
}

/** Ids and kinds are of a fixed form and stay; a marked one would no longer fit its schema. */
const KEPT = new Set(['type', 'turnId', 'uuid', 'toolUseId', 'parentToolUseId', 'hookId', 'phase'])

function redactReport(report: RunnerReport, redactor: Redactor): RunnerReport {
  const fields = Object.entries(report).map(([name, value]) => [
    name,
    KEPT.has(name) ? value : redactor.json(value),
  ])
  return Object.fromEntries(fields) as RunnerReport
}
