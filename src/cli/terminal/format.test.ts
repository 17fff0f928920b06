import { describe, expect, it } from 'vitest'
import { formatTable } from './format.ts'

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
