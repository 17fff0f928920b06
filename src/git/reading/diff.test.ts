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
  expect(parseStat(Buffer.from([...raw, ...counts, ''].join('\0')))).toEqual([
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
  expect(parseStat(Buffer.from(''))).toEqual([])
})

it('tells files apart whose names are no UTF-8', () => {
  const raw = [':000000 100644 a b A', 'na\xefve', ':000000 100644 a b A', 'na\xeeve']
  const text = [...raw, '1\t0\tna\xefve', '2\t0\tna\xeeve', ''].join('\0')
  expect(parseStat(Buffer.from(text, 'latin1'))).toMatchObject([
    { path: 'na\ufffdve', insertions: 1 },
    { path: 'na\ufffdve', insertions: 2 },
  ])
})

it('reads as many files as a session may have changed, in one pass', () => {
  const paths = Array.from({ length: 200_000 }, (_, at) => `path/${at}`)
  const raw = paths.flatMap((path) => [':000000 100644 a b A', path])
  const counts = paths.map((path) => `1\t0\t${path}`)
  const read = parseStat(Buffer.from([...raw, ...counts, ''].join('\0')))
  expect(read.length).toBe(paths.length)
  expect(read.at(-1)).toMatchObject({ path: paths.at(-1), insertions: 1 })
})
