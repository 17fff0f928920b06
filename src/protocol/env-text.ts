// Variables as people write them, in `.env` form, and back. Pure. Nothing is expanded: `$HOME` stays those five characters.
// `NAME=value` a line, `export` allowed; an unquoted `#` starts a comment; matching quotes hold blanks, `#` and more lines.
// Within double quotes \n \r \t \" \\ \$ stand for what they name; within single quotes every character is itself.

const MAX_VALUE_CHARS = 32_768
const MAX_VARIABLES = 1000

export interface EnvTextError {
  /** Counts from 1. */
  line: number
  message: string
}
export type EnvTextResult =
  | { ok: true; variables: Record<string, string> }
  | { ok: false; error: EnvTextError }

const ASSIGNMENT = /^[ \t]*(?:export[ \t]+)?([^\s=#'"]+)[ \t]*=[ \t]*/
const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,254}$/
const BLANK = /^[ \t]*(?:#.*)?$/
const ESCAPES: Record<string, string> = { n: '\n', r: '\r', t: '\t' }

export function parseEnvText(source: string): EnvTextResult {
  const text = source.replace(/^\uFEFF/, '').replaceAll('\r\n', '\n')
  const found = new Map<string, { value: string; line: number }>()
  let at = 0
  let line = 1
  while (at < text.length) {
    const end = endOfLine(text, at)
    if (BLANK.test(text.slice(at, end))) {
      at = end + 1
      line += 1
      continue
    }
    const read = readAssignment(text, at, end)
    if ('problem' in read) return refuse(line, read.problem)
    const problem = problemOf(read, found)
    if (problem) return refuse(line, problem)
    found.set(read.name, { value: read.value, line })
    line += text.slice(at, read.end).split('\n').length
    at = read.end + 1
  }
  const pairs = [...found].map(([name, { value }]) => [name, value] as const)
  return { ok: true, variables: Object.fromEntries(pairs) }
}

/** Text that `parseEnvText` reads as the same variables. */
export function formatEnvText(variables: Readonly<Record<string, string>>): string {
  return Object.entries(variables)
    .map(([name, value]) => `${name}=${quote(value)}\n`)
    .join('')
}

interface Assignment {
  name: string
  value: string
  /** Where its last line ends. */
  end: number
}
type Read<T> = T | { problem: string }

const refuse = (line: number, message: string): EnvTextResult => ({
  ok: false,
  error: { line, message },
})

function readAssignment(text: string, at: number, end: number): Read<Assignment> {
  const [head = '', name = ''] = ASSIGNMENT.exec(text.slice(at, end)) ?? []
  if (head === '') return { problem: 'a line is NAME=value, or a comment that starts with #' }
  const from = at + head.length
  const mark = text[from]
  if (mark !== '"' && mark !== "'") {
    const value = text.slice(from, end).replace(/#.*$/, '').trim()
    return { name, value, end }
  }
  const quoted = mark === '"' ? readDouble(text, from + 1) : readSingle(text, from + 1)
  if ('problem' in quoted) return quoted
  const last = endOfLine(text, quoted.end)
  if (!BLANK.test(text.slice(quoted.end, last)))
    return { problem: `after the closing ${mark} only a comment may follow` }
  return { name, value: quoted.value, end: last }
}

function readSingle(text: string, from: number): Read<{ value: string; end: number }> {
  const end = text.indexOf("'", from)
  if (end < 0) return { problem: "the closing ' is missing" }
  return { value: text.slice(from, end), end: end + 1 }
}

function readDouble(text: string, from: number): Read<{ value: string; end: number }> {
  let value = ''
  for (let at = from; at < text.length; at++) {
    const character = text[at] ?? ''
    if (character === '"') return { value, end: at + 1 }
    const next = text[at + 1] ?? ''
    if (character === '\\' && /^[nrt"\\$]$/.test(next)) {
      value += ESCAPES[next] ?? next
      at += 1
    } else value += character
  }
  return { problem: 'the closing " is missing' }
}

function problemOf(
  { name, value }: Assignment,
  found: ReadonlyMap<string, { line: number }>,
): string | undefined {
  if (!NAME.test(name))
    return `${JSON.stringify(name.slice(0, 60))} is not a name: letters, digits and _, not a digit first`
  const earlier = found.get(name)
  if (earlier) return `${name} is set in line ${earlier.line} already`
  if (value.includes('\0')) return `${name} holds a NUL character`
  if (value.length > MAX_VALUE_CHARS) return `${name} is longer than ${MAX_VALUE_CHARS} characters`
  if (found.size >= MAX_VARIABLES) return `there are more than ${MAX_VARIABLES} variables`
  return undefined
}

function endOfLine(text: string, from: number): number {
  const end = text.indexOf('\n', from)
  return end < 0 ? text.length : end
}

function quote(value: string): string {
  if (/^[^\s'"#\\]*$/.test(value)) return value
  // A carriage return before a newline would be read as the end of a line.
  if (!value.includes("'") && !value.includes('\r')) return `'${value}'`
  const escaped = value.replace(/["\\$]/g, '\\$&').replaceAll('\r', '\\r')
  return `"${escaped.replaceAll('\n', '\\n')}"`
}
