import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  branchTemplateSchema,
  fillBranchTemplate,
  isBranchName,
} from '../../protocol/branch-name.ts'
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

describe('the branch of a session', () => {
  const parts = { slug: 'fix-it', id: 'abcde', user: 'ann', date: '2030-01-31' }

  it('gives a name that git takes, whatever the title and the user are called', () => {
    const piece = fc.constantFrom(
      '{slug}',
      '{user}',
      '{id}',
      '{date}',
      '/',
      '-',
      '.',
      'a',
      'é',
      '@',
    )
    const template = fc.array(piece, { minLength: 1, maxLength: 8 }).map((list) => list.join(''))
    fc.assert(
      fc.property(template, fc.string(), fc.string(), (text, title, user) => {
        const filled = fillBranchTemplate(text, {
          ...parts,
          slug: slugOf(title),
          user: slugOf(user),
        })
        return !branchTemplateSchema.safeParse(text).success || isBranchName(filled)
      }),
    )
  })
})
