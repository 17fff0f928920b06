// Makes text that others wrote safe for a terminal: file names, tool output, titles and messages could carry escape
// sequences that rewrite the screen, fill the clipboard or hide what a command does. What it does not protect against:
// letters that merely look like others.

// C0 but tab and newline, DEL, C1, direction marks and overrides, line and paragraph separators, invisible tag and format
// characters, half surrogates.
const UNSAFE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what it is about
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]|\p{Surrogate}/gu

/** Keeps line breaks and tabs; shows everything else that a terminal would act on. */
export function plainText(text: string): string {
  return text.replaceAll('\r\n', '\n').replace(UNSAFE, showCodePoint)
}

/** The same in one line. */
export function plainLine(text: string): string {
  return oneLine(plainText(text.trim()))
}

/** Of text that is safe already. */
export function oneLine(text: string): string {
  return text.trim().replace(/[\n\t]+/g, ' ')
}

/** The same value with `change` made to every text in it, names of fields among them. */
export function mapTexts<T>(value: T, change: (text: string) => string): T {
  const map = (part: unknown): unknown => {
    if (typeof part === 'string') return change(part)
    if (Array.isArray(part)) return part.map(map)
    if (typeof part !== 'object' || part === null) return part
    return Object.fromEntries(Object.entries(part).map(([name, one]) => [change(name), map(one)]))
  }
  return map(value) as T
}

/** JSON for a terminal or a pipe: the same value, with nothing in it that a terminal acts on. */
export function safeJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, null, indent).replace(UNSAFE, (character) => {
    const units = Array.from({ length: character.length }, (_, index) =>
      character.charCodeAt(index),
    )
    return units.map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`).join('')
  })
}

function showCodePoint(character: string): string {
  const point = character.codePointAt(0) ?? 0
  return point < 0x100 ? `\\x${point.toString(16).padStart(2, '0')}` : `\\u{${point.toString(16)}}`
}

/** Breaks lines between words, so that each fits into `columns` cells. What is indented, such as code, stays as it is. */
export function wrapText(text: string, columns: number): string[] {
  return text
    .split('\n')
    .flatMap((line) => (line.startsWith('  ') ? [line] : fillLines(line.split(' '), ' ', columns)))
}

/** Joins parts to lines that fit into `columns` cells; a part that is longer has a line of its own. */
export function fillLines(
  [first = '', ...parts]: string[],
  separator: string,
  columns: number,
): string[] {
  const lines = [first]
  for (const part of parts) {
    const longer = `${lines.at(-1)}${separator}${part}`
    if (countCells(longer) <= columns) lines[lines.length - 1] = longer
    else lines.push(part)
  }
  return lines
}

function countCells(text: string): number {
  return Array.from(text).reduce((sum, one) => sum + cellsOf(one), 0)
}

/** Wide characters take two. */
function cellsOf(character: string): number {
  return (character.codePointAt(0) ?? 0) >= 0x1100 ? 2 : 1
}

/** Cuts to `columns` cells of a terminal. */
export function fitLine(text: string, columns: number): string {
  let cells = 0
  let fitting = ''
  for (const character of text) {
    cells += cellsOf(character)
    if (cells > columns) return `${dropLast(fitting, columns)}…`
    fitting += character
  }
  return text
}

function dropLast(text: string, columns: number): string {
  const characters = Array.from(text)
  let cells = countCells(text)
  while (cells > columns - 1 && characters.length > 0) {
    cells -= cellsOf(characters.pop() ?? '')
  }
  return characters.join('')
}
