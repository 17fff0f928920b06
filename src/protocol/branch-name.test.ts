import { describe, expect, it } from 'vitest'
import { isBranchName } from './branch-name.ts'

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
