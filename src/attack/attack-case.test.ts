import { describe, expect, it } from 'vitest'
import { type AttackCase, judge, readAttempts } from './attack-case.ts'
import { exitCodeFor } from './command.ts'

const attack: AttackCase = {
  id: 'example',
  title: 'do what is refused',
  script: () => '',
  held: /^EPERM$/,
  broken: /^done/,
}

describe('judge', () => {
  it.each([
    ['one: EPERM\ntwo: EPERM\n', 'held', 'one: EPERM'],
    ['one: EPERM\ntwo: done it\n', 'broken', 'two: done it'],
    ['one: strange\ntwo: done\n', 'broken', 'two: done'],
    ['one: EPERM\ntwo: ENOSYS\n', 'not_tried', 'two: ENOSYS'],
    ['sh: perl not found\n', 'not_tried', 'sh: perl not found'],
    ['', 'not_tried', ''],
  ])('takes %j for %s', (output, kind, detail) => {
    expect(judge(attack, output)).toEqual({ kind, detail })
  })
})

it('reads lines with a way alone', () => {
  expect(readAttempts(' a b: c: d\nnothing\n: x\nv6 -1: y')).toEqual([
    { way: 'a b', outcome: 'c: d' },
    { way: 'v6 -1', outcome: 'y' },
  ])
})

it('ends badly when one attack has worked', () => {
  const result = (kind: 'held' | 'broken' | 'not_tried') => {
    const { id, title } = attack
    return { id, title, result: kind, detail: '' }
  }
  expect(exitCodeFor([result('held'), result('not_tried')])).toBe(0)
  expect(exitCodeFor([result('held'), result('broken')])).toBe(1)
})
