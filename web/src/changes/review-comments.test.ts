import { describe, expect, it } from 'vitest'
import {
  describePlace,
  placeOf,
  type ReviewComment,
  readComments,
  withComments,
} from './review-comments.ts'

const comment = (change: Partial<ReviewComment> = {}): ReviewComment => ({
  ...{ id: '1', commit: 'b1a2c3d4e5f60718', text: 'Say why', repository: null },
  ...{ path: 'src/cart.js', side: 'additions', from: 9, to: 9 },
  ...change,
})

describe('comments on changes', () => {
  it('name the line, the lines, what is gone, the file, and the repository', () => {
    expect(describePlace(comment())).toBe('src/cart.js:9')
    expect(describePlace(comment({ to: 12 }))).toBe('src/cart.js:9-12')
    expect(describePlace(comment({ side: 'deletions' }))).toBe('src/cart.js:9 (removed)')
    expect(describePlace(comment({ from: 0, to: 0 }))).toBe('src/cart.js')
    expect(describePlace(comment({ repository: 'client' }))).toBe('client, src/cart.js:9')
  })

  it('show what a path of a sandbox would hide', () => {
    expect(describePlace(comment({ path: 'a\u202eb.js' }))).toBe('a⟨U+202E⟩b.js:9')
  })

  it('take a range in either direction, and of two sides the last', () => {
    const at = { repository: null, path: 'a.js' }
    expect(placeOf(at, { start: 12, side: 'additions', end: 9 })).toMatchObject({ from: 9, to: 12 })
    expect(
      placeOf(at, { start: 3, side: 'deletions', end: 9, endSide: 'additions' }),
    ).toMatchObject({ side: 'additions', from: 9, to: 9 })
    expect(placeOf(at, { start: 4, end: 4 })).toMatchObject({ side: 'additions', from: 4 })
  })

  it('become one message below the words that go with them', () => {
    const all = [comment(), comment({ id: '2', from: 0, to: 0, text: ' Two\nlines ' })]
    expect(withComments('Please look at these.', all)).toBe(
      'Please look at these.\n\nComments on the changes (lines as of b1a2c3d4e5):\n- src/cart.js:9: Say why\n- src/cart.js: Two\n  lines',
    )
    expect(withComments(' ', [comment()])).toMatch(/^Comments on the changes/)
    expect(withComments('As it is ', [])).toBe('As it is ')
  })

  it('are read back as they were kept, and never as something else', () => {
    expect(readComments(JSON.stringify([comment()]))).toEqual([comment()])
    expect(readComments('')).toEqual([])
    for (const odd of ['{', '{"a":1}', 'null']) expect(readComments(odd)).toEqual([])
    expect(readComments('[null, {"text":"x"}, 3]')).toEqual([])
  })
})
