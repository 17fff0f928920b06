// What a tool call says in its one line: a word for the tool, its object, and how many lines it changes.
import type { ToolItem } from '../../../src/protocol/timeline.ts'
import { plainText } from '../ui/plain-text.ts'

export interface ToolSummary {
  word: string
  object: string
  mono: boolean
  counts: { insertions: number; deletions: number } | null
}

type Input = Record<string, unknown>

export function toolInput(tool: Pick<ToolItem, 'input'>): Input {
  const { input } = tool
  return typeof input === 'object' && input !== null && !Array.isArray(input)
    ? (input as Input)
    : {}
}

export function textOf(input: Input, ...names: string[]): string {
  for (const name of names) {
    const value = input[name]
    if (typeof value === 'string' && value !== '') return value
  }
  return ''
}

export function summarize(tool: Pick<ToolItem, 'name' | 'input'>): ToolSummary {
  const input = toolInput(tool)
  const summary = (word: string, object: string, mono = true): ToolSummary => ({
    word,
    object: firstLine(object),
    mono,
    counts: null,
  })
  switch (tool.name) {
    case 'Bash':
      return summary('Bash', textOf(input, 'command'))
    case 'Read':
    case 'NotebookRead':
      return summary('Read', shortPath(textOf(input, 'file_path', 'notebook_path')))
    case 'Write':
    case 'Edit':
    case 'MultiEdit':
    case 'NotebookEdit':
      return {
        ...summary(
          tool.name === 'Write' ? 'Write' : 'Edit',
          shortPath(textOf(input, 'file_path', 'notebook_path')),
        ),
        counts: changedLines(edits(tool)),
      }
    case 'Grep':
    case 'Glob':
      return summary(tool.name, textOf(input, 'pattern'))
    case 'LS':
      return summary('List', shortPath(textOf(input, 'path')))
    case 'WebFetch':
      return summary('Fetch', textOf(input, 'url'))
    case 'WebSearch':
      return summary('Search', textOf(input, 'query'), false)
    case 'Task':
    case 'Agent':
      return summary('Subagent', textOf(input, 'description', 'prompt'), false)
    case 'TodoWrite':
      return summary('Plan', todoLine(input), false)
    default:
      return summary(toolWord(tool.name), textOf(input, ...Object.keys(input)), false)
  }
}

function toolWord(name: string): string {
  return plainText(name.replace(/^mcp__/, '').replaceAll('__', ' · ')).slice(0, 60) || 'Tool'
}

export interface TextEdit {
  before: string
  after: string
}

export function edits(tool: Pick<ToolItem, 'name' | 'input'>): TextEdit[] {
  const input = toolInput(tool)
  const list = Array.isArray(input.edits) ? (input.edits as unknown[]) : [input]
  return list.map((edit) => {
    const fields = toolInput({ input: edit })
    return {
      before: textOf(fields, 'old_string'),
      after: textOf(fields, 'new_string', 'content', 'new_source'),
    }
  })
}

function changedLines(list: readonly TextEdit[]): ToolSummary['counts'] {
  let insertions = 0
  let deletions = 0
  for (const { before, after } of list) {
    const changed = changedSpan(before, after)
    insertions += changed.added.length
    deletions += changed.removed.length
  }
  return { insertions, deletions }
}

/** The lines that differ once what both sides begin and end with is left out. */
export function changedSpan(before: string, after: string): { removed: string[]; added: string[] } {
  const old = before === '' ? [] : before.replace(/\n$/, '').split('\n')
  const now = after === '' ? [] : after.replace(/\n$/, '').split('\n')
  let start = 0
  while (start < old.length && start < now.length && old[start] === now[start]) start++
  let end = 0
  const most = Math.min(old.length, now.length) - start
  while (end < most && old[old.length - 1 - end] === now[now.length - 1 - end]) end++
  return { removed: old.slice(start, old.length - end), added: now.slice(start, now.length - end) }
}

function todoLine(input: Input): string {
  const todos = Array.isArray(input.todos)
    ? input.todos.map((todo) => toolInput({ input: todo }))
    : []
  const current = todos.find((todo) => todo.status === 'in_progress')
  const done = todos.filter((todo) => todo.status === 'completed').length
  return `${done} of ${todos.length} done${current ? `: ${textOf(current, 'activeForm', 'content')}` : ''}`
}

/** Paths inside the checkout are shown as git names them. */
function shortPath(path: string): string {
  return path.replace(/^\/workspace\/[^/]+\//, '')
}

function firstLine(text: string): string {
  const line = plainText(text).trim().split('\n', 1)[0] ?? ''
  return line.length > 300 ? `${line.slice(0, 300)}…` : line
}
