import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  parseRefUpdate,
  refusalSentence,
  refuseForSession,
  refuseForUpload,
  ZERO_ID,
} from './push-scope.ts'

const ID = 'a'.repeat(40)
const update = (ref: string, next = ID) => ({ old: ZERO_ID, new: next, ref })

describe('refuseForSession', () => {
  it('lets exactly the own branch through', () => {
    expect(refuseForSession(update('refs/heads/errand/x'), 'errand/x')).toBeUndefined()
    const others = [
      'errand/x',
      'refs/heads/errand/X',
      'refs/heads/errand/x/y',
      'refs/heads/errand',
      'refs/heads/errand/x ',
      'refs/tags/errand/x',
      'refs/heads/../heads/errand/x',
    ]
    for (const ref of others)
      expect(refuseForSession(update(ref), 'errand/x')).toMatchObject({ reason: 'ref_not_allowed' })
    expect(refuseForSession(update('refs/heads/errand/x', ZERO_ID), 'errand/x')).toMatchObject({
      reason: 'deletion_refused',
    })
  })

  it('lets what is saved be replaced and not deleted', () => {
    for (const ref of ['refs/errand/saved/work', 'refs/errand/saved/conversation']) {
      expect(refuseForSession(update(ref), 'b')).toBeUndefined()
      const refusal = refuseForSession(update(ref, ZERO_ID), 'b')
      expect(refusal).toMatchObject({ reason: 'deletion_refused' })
    }
    expect(refuseForSession(update('refs/errand/saved'), 'b')).toBeDefined()
    expect(refuseForUpload(update('refs/errand/saved/work'))).toBeDefined()
  })

  it('refuses whatever else git may read', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (ref) => {
        fc.pre(ref !== 'refs/heads/b')
        expect(refuseForSession(update(ref), 'b')).toBeDefined()
      }),
    )
  })

  it('says what is allowed', () => {
    const refusal = refuseForSession(update('refs/heads/main'), 'errand/x')
    expect(refusal && refusalSentence(refusal, 'errand/x')).toBe(
      'errand: this session may push to refs/heads/errand/x only; refs/heads/main was refused',
    )
  })
})

describe('refuseForUpload', () => {
  it('takes branches and deletes none', () => {
    expect(refuseForUpload(update('refs/heads/any'))).toBeUndefined()
    expect(refuseForUpload(update('refs/tags/any'))).toMatchObject({ reason: 'ref_not_allowed' })
    expect(refuseForUpload(update('refs/heads/any', ZERO_ID))).toMatchObject({
      reason: 'deletion_refused',
    })
  })
})

describe('parseRefUpdate', () => {
  it('reads what git writes and nothing else', () => {
    expect(parseRefUpdate(`${ZERO_ID} ${ID} refs/heads/a`)).toEqual(update('refs/heads/a'))
    for (const line of [
      '',
      `${ID} refs/heads/a`,
      `${ID} ${ID}`,
      `${ID} ${ID} `,
      `x${ID} ${ID} refs/heads/a`,
    ])
      expect(parseRefUpdate(line)).toBeUndefined()
  })
})
