import { describe, expect, it } from 'vitest'
import { formatDuration, formatTable } from './format.ts'

it('tells a time in whole minutes and the seconds beside them', () => {
  const times = [59_940, 59_960, 119_400, 119_600, 7_325_000]
  expect(times.map(formatDuration)).toEqual([
    ...['59.9 s', '1 min 0 s', '1 min 59 s', '2 min 0 s', '122 min 5 s'],
  ])
})

describe('a table', () => {
  const rows = [
    ['s_a', 'Make the failing test pass'] as string[],
    ['s_bcd', '日本語の長い題名です'],
  ]

  it('has columns of one width, and the whole text where nobody says how wide it may be', () => {
    expect(formatTable(['id', 'title'], rows)).toBe(
      'id     title\ns_a    Make the failing test pass\ns_bcd  日本語の長い題名です\n',
    )
  })

  it('has no line that is wider than the terminal', () => {
    expect(formatTable(['id', 'title'], rows, 16)).toBe(
      'id     title\ns_a    Make the…\ns_bcd  日本語の…\n',
    )
  })
})
