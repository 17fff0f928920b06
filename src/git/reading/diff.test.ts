import { expect, it } from 'vitest'
import { parseStat } from './diff.ts'

it('reads raw entries and counts of git diff-tree', () => {
  const raw = [
    ':100644 100644 a b R090',
    'old',
    'new\nname',
    ':000000 100644 a b A',
    'tab\there',
    ':100644 000000 a b D',
    'bin',
  ]
  const counts = ['1\t2\t', 'old', 'new\nname', '3\t0\ttab\there', '-\t-\tbin']
  expect(parseStat([...raw, ...counts, ''].join('\0'))).toEqual([
    {
      path: 'new\nname',
      from: 'old',
      status: 'renamed',
      binary: false,
      insertions: 1,
      deletions: 2,
    },
    { path: 'tab\there', from: null, status: 'added', binary: false, insertions: 3, deletions: 0 },
    { path: 'bin', from: null, status: 'deleted', binary: true, insertions: 0, deletions: 0 },
  ])
  expect(parseStat('')).toEqual([])
})
