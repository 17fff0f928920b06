// Keeps what the runner reports within the limits of the protocol: long text loses its middle, never its ends.
// Pure; knows nothing of what the text means.
import { MAX_OUTPUT_CHARS, type RunnerReport } from '../../protocol/runner-frames.ts'

const SHORT_CHARS = 4_000
const LINE_CHARS = 2_000

export interface CutText {
  text: string
  truncated: boolean
}

/** `text` with at most `maxChars` characters, the cut marked in its middle. */
export function cutText(text: string, maxChars = MAX_OUTPUT_CHARS): CutText {
  if (text.length <= maxChars) return { text, truncated: false }
  const mark = (left: number) => `\n[… ${left} characters left out …]\n`
  const room = Math.max(0, maxChars - mark(text.length).length)
  const head = wholeUntil(text, Math.ceil(room / 2))
  const tail = wholeFrom(text, text.length - Math.floor(room / 2))
  const left = text.length - head.length - tail.length
  return { text: head + mark(left) + tail, truncated: true }
}

/** Any JSON value with its strings cut so that together they stay within `maxChars`, and nothing deeper than 32 levels. */
export function cutJson(value: unknown, maxChars = MAX_OUTPUT_CHARS): unknown {
  let room = maxChars
  const visit = (item: unknown, depth: number): unknown => {
    if (typeof item === 'string') {
      const cut = cutText(item, Math.max(room, 100)).text
      room -= Math.min(room, cut.length)
      return cut
    }
    if (typeof item !== 'object' || item === null) return item
    if (depth > 32 || room <= 0) return '[left out]'
    if (Array.isArray(item)) return item.map((part) => visit(part, depth + 1))
    const entries = Object.entries(item).map(([key, part]) => {
      room -= Math.min(room, key.length)
      return [key.slice(0, SHORT_CHARS), visit(part, depth + 1)]
    })
    return Object.fromEntries(entries)
  }
  const cut = visit(value, 0)
  // Many small parts can still be too much: then their text, cut, is all that is kept.
  const text = JSON.stringify(cut) ?? ''
  return text.length <= 3 * maxChars ? cut : { cut: cutText(text, maxChars).text }
}

/** Makes any report fit the schema and a frame, whatever the agent or a program wrote. */
export function fitReport(report: RunnerReport): RunnerReport {
  switch (report.type) {
    case 'phase.logged':
      return {
        ...report,
        lines: report.lines.slice(-200).map((line) => cutText(line, LINE_CHARS).text),
      }
    case 'phase.failed':
    case 'turn.failed':
      return {
        ...report,
        reason: cutText(report.reason, SHORT_CHARS).text,
        message: cutText(report.message).text,
      }
    case 'assistant.text':
    case 'assistant.thinking':
    case 'command.output':
    case 'agent.notice':
      return { ...report, text: cutText(report.text).text }
    case 'tool.called':
      return {
        ...report,
        name: cutText(report.name, SHORT_CHARS).text,
        input: cutJson(report.input),
      }
    case 'tool.returned': {
      const { text, truncated } = cutText(report.output)
      return { ...report, output: text, truncated: report.truncated || truncated }
    }
    case 'hook.started':
      return {
        ...report,
        event: cutText(report.event, SHORT_CHARS).text,
        name: cutText(report.name, SHORT_CHARS).text,
      }
    case 'hook.ended':
      return { ...report, output: cutText(report.output).text }
    case 'question.asked':
      return { ...report, question: cutJson(report.question) as typeof report.question }
    case 'phase.started':
    case 'phase.completed':
    case 'runner.ready':
    case 'setup.ended':
    case 'turn.accepted':
    case 'turn.completed':
    case 'turn.interrupted':
    case 'question.closed':
      return report
  }
}

/** Never ends in half of a surrogate pair. */
function wholeUntil(text: string, end: number): string {
  const code = text.charCodeAt(end - 1)
  return text.slice(0, code >= 0xd800 && code <= 0xdbff ? end - 1 : end)
}

function wholeFrom(text: string, start: number): string {
  const code = text.charCodeAt(start)
  return text.slice(code >= 0xdc00 && code <= 0xdfff ? start + 1 : start)
}
