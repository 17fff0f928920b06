import { describe, expect, it } from 'vitest'
import { slugOf, titleOf } from './titles.ts'

describe('titleOf', () => {
  it('is the first line with text, cut at a word', () => {
    expect(titleOf('\n  Fix the login\nand more')).toBe('Fix the login')
    expect(titleOf(`${'word '.repeat(30)}end`)).toHaveLength(79)
    expect(titleOf('x'.repeat(200))).toHaveLength(80)
  })
})

describe('slugOf', () => {
  it('keeps letters and digits and is safe as part of a branch', () => {
    expect(slugOf('Fix: the "login" race!')).toBe('fix-the-login-race')
    expect(slugOf('Größe ändern')).toBe('gro-e-andern')
    expect(slugOf('修正')).toBe('task')
    expect(slugOf('../..;rm -rf')).toBe('rm-rf')
  })
})
