import { expect, it } from 'vitest'
import { createFigure } from './figure.ts'
import { renderTable } from './table.ts'

it('shows targets and verdicts, and marks what had too few runs', () => {
  const start = createFigure({
    ...{ name: 'start', unit: 'ms', ours: [2000], benchmark: 'start', note: 'taken cold' },
    other: { name: 'claude -p', samples: [1000] },
  })
  const ours = new Array<number>(20).fill(5)
  const text = renderTable([
    start,
    createFigure({ name: 'event', unit: 'ms', ours, benchmark: 'event' }),
  ])
  const [head, first, second, ...rest] = text.split('\n')
  expect(head).toBe('name    p50   p95  unit  against  ratio  target  ok  runs  versus')
  expect(first).toBe('start  2000  2000  ms       1000   2.00   ≤ 1.5  NO    1*  claude -p')
  expect(second).toMatch(/^event +5 +5 {2}ms +20$/)
  expect(rest).toEqual(['', 'start: taken cold', '* Too few runs for a figure to be kept.', ''])
})
