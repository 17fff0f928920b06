// Colours on lines whose text is safe already: marks of the timeline, and diffs. Nothing where the terminal has no colours.
import type { Output } from '../deps.ts'

const STYLES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const
type Style = keyof typeof STYLES

const LINES: [RegExp, Style][] = [
  [/^› /, 'bold'],
  [/^[·–] /, 'dim'],
]
const MARKS: [RegExp, Style][] = [
  [/^[✓↑]|✓$/gu, 'green'],
  [/^[✕⛔]|✕$/gu, 'red'],
  [/^◆/u, 'yellow'],
  [/^ *▸/u, 'cyan'],
]
const DIFF: [RegExp, Style][] = [
  [/^(?:diff --git|index|---|\+\+\+) /, 'bold'],
  [/^@@ /, 'cyan'],
  [/^\+/, 'green'],
  [/^-/, 'red'],
]

export function paintLine({ hasColors }: Output, line: string): string {
  if (!hasColors) return line
  const whole = LINES.find(([pattern]) => pattern.test(line))
  if (whole) return paint(whole[1], line)
  return MARKS.reduce(
    (text, [pattern, style]) => text.replace(pattern, (mark) => paint(style, mark)),
    line,
  )
}

export function paintDiff({ hasColors }: Output, patch: string): string {
  if (!hasColors) return patch
  return patch
    .split('\n')
    .map((line) => {
      const style = DIFF.find(([pattern]) => pattern.test(line))?.[1]
      return style ? paint(style, line) : line
    })
    .join('\n')
}

function paint(style: Style, text: string): string {
  return `\x1b[${STYLES[style]}m${text}\x1b[0m`
}
