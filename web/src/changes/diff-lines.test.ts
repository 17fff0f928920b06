import { getSingularPatch } from '@pierre/diffs'
import { describe, expect, it } from 'vitest'
import { describeLine, linesOf, moveChoice, rangeOf } from './diff-lines.ts'

const HEAD = 'diff --git a/f.js b/f.js\n--- a/f.js\n+++ b/f.js\n'
const parsed = (patch: string) => linesOf(getSingularPatch(`${HEAD}${patch}`))
const PATCH = '@@ -4,3 +4,4 @@\n one\n-two\n+deux\n+new\n three\n@@ -20,1 +21,1 @@\n-old\n+neu\n'

describe('the lines of a diff', () => {
  it('have the numbers of their side, over all hunks', () => {
    const lines = parsed(PATCH)
    expect(lines.map(({ side, number }) => `${side === 'deletions' ? '-' : '+'}${number}`)).toEqual(
      ['+4', '-5', '+5', '+6', '+7', '-20', '+21'],
    )
    expect(lines.map(describeLine).slice(0, 3)).toEqual([
      'line 4: one',
      'removed line 5: two',
      'added line 5: deux',
    ])
  })

  it('are counted from 1 in a file that is new or gone', () => {
    expect(parsed('@@ -0,0 +1,2 @@\n+a\n+b\n').map(({ number }) => number)).toEqual([1, 2])
    expect(parsed('@@ -1,2 +0,0 @@\n-a\n-b\n').map(({ number }) => number)).toEqual([1, 2])
  })

  it('keep the order in which the renderer shows them', () => {
    const lines = parsed('@@ -1,1 +1,2 @@\n-if (a > b) {\n+// from b on\n+if (a >= b) {\n')
    expect(lines.map(({ side, text }) => side[0] + text.trim())).toEqual([
      'a// from b on',
      'dif (a > b) {',
      'aif (a >= b) {',
    ])
  })
})

describe('the arrow keys', () => {
  const lines = parsed(PATCH)
  const down = { step: 1, extend: false } as const

  it('begin at the first change, and stop at both ends', () => {
    const first = moveChoice(lines, null, down)
    expect(first).toEqual({ anchor: 1, at: 1 })
    expect(moveChoice(lines, { anchor: 6, at: 6 }, down)).toEqual({ anchor: 6, at: 6 })
    expect(moveChoice(lines, { anchor: 0, at: 0 }, { step: -1, extend: false })).toEqual({
      ...{ anchor: 0, at: 0 },
    })
    expect(moveChoice([], null, down)).toBeNull()
  })

  it('take more lines in with shift, in both directions', () => {
    const two = moveChoice(lines, { anchor: 2, at: 2 }, { step: 1, extend: true })
    expect(two).toEqual({ anchor: 2, at: 3 })
    expect(rangeOf(lines, { anchor: 3, at: 2 })).toEqual({
      ...{ start: 6, side: 'additions', end: 5, endSide: 'additions' },
    })
    expect(rangeOf(lines, { anchor: 0, at: 99 })).toBeNull()
  })
})
