// The figures as a table for people. Pure.
import type { Figure } from './figure.ts'
import { TARGETS } from './targets.ts'

const HEAD = ['name', 'p50', 'p95', 'unit', 'against', 'ratio', 'target', 'ok', 'runs', 'versus']
const NUMBERS = new Set(['p50', 'p95', 'against', 'ratio', 'target', 'runs'])

export function renderTable(figures: readonly Figure[]): string {
  const rows = [HEAD, ...figures.map(rowOf)]
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const lines = rows.map((row) =>
    row
      .map((cell, column) => {
        const width = widths[column] ?? 0
        return NUMBERS.has(HEAD[column] ?? '') ? cell.padStart(width) : cell.padEnd(width)
      })
      .join('  ')
      .trimEnd(),
  )
  const notes = figures.filter(({ note }) => note).map(({ name, note }) => `${name}: ${note}`)
  const quick = figures.some((figure) => figure.quick)
    ? ['* Too few runs for a figure to be kept.']
    : []
  const below = [...notes, ...quick]
  return `${[...lines, ...(below.length > 0 ? ['', ...below] : [])].join('\n')}\n`
}

function rowOf(figure: Figure): string[] {
  const { name, unit, p50, p95, against, ratio, ok, runs, versus, quick } = figure
  const target = TARGETS[name]
  return [
    name,
    String(p50),
    String(p95),
    unit,
    against === null ? '' : String(against),
    ratio === null ? '' : ratio.toFixed(2),
    target ? `${target.bound === 'most' ? '≤' : '≥'} ${target.value}` : '',
    ok === null ? '' : ok ? 'yes' : 'NO',
    `${runs}${quick ? '*' : ''}`,
    versus ?? '',
  ]
}
