import { describe, expect, it } from 'vitest'
import { createTestOutput } from '../cli.fixture.ts'
import { paintDiff, paintLine } from './paint.ts'

const coloured = { ...createTestOutput(true), hasColors: true }
const plain = createTestOutput(true)

describe('paintLine', () => {
  it('colours marks and leaves the words alone', () => {
    expect(paintLine(coloured, '✓ done')).toBe('\x1b[32m✓\x1b[0m done')
    expect(paintLine(coloured, '▸ Bash  x  0.1 s ✕')).toBe(
      '\x1b[36m▸\x1b[0m Bash  x  0.1 s \x1b[31m✕\x1b[0m',
    )
    expect(paintLine(coloured, 'a ✓ in the middle')).toBe('a ✓ in the middle')
  })

  it('writes no control sequence where there are no colours', () => {
    expect(paintLine(plain, '✓ done')).toBe('✓ done')
    expect(paintDiff(plain, '+a\n-b\n')).toBe('+a\n-b\n')
  })
})

describe('paintDiff', () => {
  it('tells what came from what went', () => {
    expect(paintDiff(coloured, '+a\n-b\n c')).toBe('\x1b[32m+a\x1b[0m\n\x1b[31m-b\x1b[0m\n c')
  })
})
