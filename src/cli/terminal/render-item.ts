// One item of the timeline as lines for a terminal. Pure. It makes no text of others safe: whoever calls does, for the whole
// item before (`mapTexts` with `plainText`) or for the whole line after.

import { describeNetwork } from '../../protocol/environment.ts'
import type { Question } from '../../protocol/session.ts'
import type { HookItem, TimelineItem, ToolItem } from '../../protocol/timeline.ts'
import type { PhaseLine } from '../../protocol/timeline-preparation.ts'
import { formatDuration } from './format.ts'
import { fillLines, fitLine, oneLine } from './plain-text.ts'

/** Of what a failed tool or phase wrote. */
const TAIL_LINES = 10
const ASKING_TOOL = 'AskUserQuestion'
const MARKS = { completed: '✓', failed: '✕', running: '◐', stopped: '–' } as const

/** Empty: nothing to show yet. */
export function renderItem(item: TimelineItem, columns: number): string[] {
  switch (item.kind) {
    case 'prompt':
      return item.state === 'started' ? ['', ...indent(item.text, '› '), ''] : []
    case 'preparation':
      return item.ready ? renderPrepared(item.phases, columns) : []
    case 'text':
      return ['', ...item.text.trim().split('\n'), '']
    case 'thinking':
      return [fitLine(`· ${oneLine(item.text)}`, columns)]
    case 'tool':
      return renderTool(item, columns)
    case 'hook':
      return renderHook(item)
    case 'output':
      return item.text.replace(/\n$/, '').split('\n')
    case 'question':
      return renderQuestionItem(item)
    case 'notice':
      return [`${item.tone === 'bad' ? '✕' : '–'} ${oneLine(item.text)}`]
    case 'wish':
      return [renderWish(item)]
    case 'denied':
      return [`⛔ ${oneLine(item.host)}:${item.port} was not reached: ${oneLine(item.reason)}`]
    case 'push':
      return [renderPush(item)]
    case 'end':
      return renderEnd(item)
  }
}

export function renderPhases(phases: readonly PhaseLine[]): string {
  const parts = phases.map(({ name, state, durationMs, kept }) => {
    const took = durationMs === null ? '' : ` ${kept ? 'kept' : formatDuration(durationMs)}`
    return `${MARKS[state]} ${name}${took}`
  })
  return parts.join(' · ')
}

function renderPrepared(phases: readonly PhaseLine[], columns: number): string[] {
  const parts = phases.map(({ name, durationMs, kept }) =>
    kept ? `${name} kept` : `${name} ${formatDuration(durationMs ?? 0)}`,
  )
  const [first = '', ...rest] = fillLines(parts, ' · ', columns - '✓ prepared: '.length)
  return [`✓ prepared: ${first}`, ...rest.map((line) => `            ${line}`)]
}

export function renderFailedPhase({ name, durationMs, message, lines }: PhaseLine): string[] {
  const after = durationMs === null ? '' : ` after ${formatDuration(durationMs)}`
  return [
    `✕ ${name} failed${after}: ${oneLine(message ?? '')}`,
    ...indent(lines.slice(-TAIL_LINES).join('\n'), '    '),
  ]
}

/** What a tool is about to do, in one line. */
export function renderToolCall(
  { name, input, parentToolUseId }: ToolItem,
  columns: number,
): string {
  const inner = parentToolUseId === null ? '' : '  '
  return fitLine(`${inner}▸ ${oneLine(name)}  ${oneLine(summarizeInput(input))}`, columns)
}

function renderTool(item: ToolItem, columns: number): string[] {
  // The question says it all.
  if (item.output === null || item.name === ASKING_TOOL) return []
  const took = item.durationMs === null ? '' : `${formatDuration(item.durationMs)} `
  const how = `  ${took}${item.isError ? '✕' : '✓'}`
  const line = renderToolCall(item, Math.max(20, columns - how.length)) + how
  if (!item.isError) return [line]
  const tail = item.output.trimEnd().split('\n').slice(-TAIL_LINES).join('\n')
  return [line, ...indent(tail, '    ')]
}

const HOOK_MARKS = { success: '✓', error: '✕', cancelled: '✕ stopped', running: '◐' } as const

/** Shown when it has ended: the timeline of a terminal only grows. */
function renderHook({ name, result, durationMs, output }: HookItem): string[] {
  if (result === 'running') return []
  const took = durationMs === null ? '' : `${formatDuration(durationMs)} `
  const line = `▸ hook ${oneLine(name)}  ${took}${HOOK_MARKS[result]}`
  if (result === 'success') return [line]
  return [line, ...indent(output.trimEnd().split('\n').slice(-TAIL_LINES).join('\n'), '    ')]
}

const TELLING = ['command', 'file_path', 'path', 'pattern', 'url', 'query', 'description', 'prompt']

function summarizeInput(input: unknown): string {
  if (typeof input !== 'object' || input === null) return typeof input === 'string' ? input : ''
  for (const key of TELLING) {
    const value = (input as Record<string, unknown>)[key]
    if (typeof value === 'string' && value !== '') return value
  }
  return JSON.stringify(input)
}

function renderQuestionItem(item: Extract<TimelineItem, { kind: 'question' }>): string[] {
  if (item.open) return renderQuestion(item.question)
  if (!item.answer) return ['– the question was closed']
  const { allow, answers, message } = item.answer
  const chosen = Object.values(answers).join('; ') || (allow ? 'allowed' : 'refused')
  return [`– answered: ${oneLine([chosen, message].filter(Boolean).join(': '))}`]
}

export function renderQuestion({ title, detail, items }: Question): string[] {
  const lines = ['', `◆ ${oneLine(title)}`]
  if (detail !== '') lines.push(...indent(detail, '  '))
  for (const { question, options, multiSelect } of items) {
    const several = multiSelect ? '(several may be chosen)' : ''
    const text = question === title ? several : [oneLine(question), several].join(' ').trim()
    if (text !== '') lines.push(`  ${text}`)
    options.forEach(({ label, description }, index) => {
      const about = description === '' ? '' : ` – ${oneLine(description)}`
      lines.push(`    ${index + 1}  ${oneLine(label)}${about}`)
    })
  }
  return lines
}

const OUTWARD: Record<string, string> = {
  kept: ' (kept here, not outside yet)',
  refused: ' (kept here, the remote refused it)',
}

function renderWish({ network, state }: Extract<TimelineItem, { kind: 'wish' }>): string {
  const asked = oneLine(describeNetwork(network))
  if (state === 'open') return `◆ the repository asks to reach ${asked}: errand allow`
  return `– the repository may reach ${asked}${state === 'session' ? ' in this session' : ''}`
}

function renderPush({
  repository,
  ref,
  commit,
  accepted,
  outward,
  text,
}: Extract<TimelineItem, { kind: 'push' }>): string {
  const branch = oneLine(
    ref.replace(/^refs\/heads\//, '') + (repository ? ` of ${repository}` : ''),
  )
  const about = text === '' ? '' : `: ${oneLine(text)}`
  if (!accepted) return `⛔ the push to ${branch} was refused${about}`
  const where = OUTWARD[outward] ?? ''
  return `↑ pushed ${commit.slice(0, 10)} to ${branch}${where}${about}`
}

function renderEnd(item: Extract<TimelineItem, { kind: 'end' }>): string[] {
  const took = item.durationMs === null ? '' : ` in ${formatDuration(item.durationMs)}`
  switch (item.outcome) {
    case 'completed': {
      const code =
        item.exitCode === null || item.exitCode === 0 ? '' : ` with exit code ${item.exitCode}`
      return [`✓ done${took}${code}`]
    }
    case 'interrupted':
      return ['– interrupted']
    case 'failed':
      return [`✕ failed: ${oneLine(item.text)}`]
  }
}

function indent(text: string, prefix: string): string[] {
  if (text.trim() === '') return []
  const rest = ' '.repeat(prefix.length)
  return text
    .trimEnd()
    .split('\n')
    .map((line, index) => (index === 0 ? prefix : rest) + line)
}
