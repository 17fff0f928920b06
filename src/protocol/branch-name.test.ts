import { describe, expect, it } from 'vitest'
import { branchTemplateSchema, fillBranchTemplate, isBranchName } from './branch-name.ts'

describe('isBranchName', () => {
  it.each(['main', 'errand/fix-1', 'a.b', 'é', 'a@b', 'HEAD/x'])('takes %s', (name) => {
    expect(isBranchName(name)).toBe(true)
  })

  it.each([
    '',
    '-x',
    '/a',
    'a/',
    'a//b',
    '.a',
    'a/.b',
    'a.lock',
    'a.lock/b',
    'a..b',
    'a@{b',
    '@',
    'HEAD',
    'a b',
    'a\n',
    'a~',
    'x.',
    'a'.repeat(241),
  ])('refuses %j', (name) => {
    expect(isBranchName(name)).toBe(false)
  })
})

describe('a template of branches', () => {
  const parts = { slug: 'fix-it', id: 'abcde', user: 'ann', date: '2030-01-31' }

  it('is filled with what a session is', () => {
    expect(fillBranchTemplate('{user}/{date}-{slug}-{id}', parts)).toBe(
      'ann/2030-01-31-fix-it-abcde',
    )
  })

  it.each(['errand/{slug}', '{id}', 'work', 'a/{user}/{date}'])('takes %s', (template) => {
    expect(branchTemplateSchema.safeParse(template).success).toBe(true)
  })

  it.each([
    '',
    '{title}',
    '{slug',
    'a}',
    '-{slug}',
    '{slug}.lock',
    'a..{id}',
    '{slug}/',
    'a b',
    'HEAD',
  ])('refuses %j', (template) => {
    expect(branchTemplateSchema.safeParse(template).success).toBe(false)
  })
})
