import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isBranchName } from '../../protocol/branch-name.ts'
import {
  branchRefs,
  type PushScope,
  parseRefUpdate,
  type RefRefusal,
  refusalLines,
  refuseForSession,
  refuseForUpload,
  refuseOutward,
  ZERO_ID,
} from './push-scope.ts'

const ID = 'a'.repeat(40)
const update = (ref: string, next = ID) => ({ old: ZERO_ID, new: next, ref })
const scope = (branch: string, more: Partial<PushScope> = {}): PushScope => ({
  ...{ sessionId: 's_abcdefghijklmnopqrst', branch, defaultBranch: 'trunk' },
  ...{ branches: [], rewrite: false, ...more },
})
const refuse = (ref: string, within: PushScope, next = ID) =>
  refuseForSession([update(ref, next)], within)[0]

describe('refuseForSession', () => {
  it('lets exactly the own branch through', () => {
    expect(refuse('refs/heads/errand/x', scope('errand/x'))).toBeUndefined()
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
      expect(refuse(ref, scope('errand/x'))).toMatchObject({ reason: 'ref_not_allowed' })
    expect(refuse('refs/heads/errand/x', scope('errand/x'), ZERO_ID)).toMatchObject({
      reason: 'deletion_refused',
    })
  })

  it('lets exactly the granted branches through as well, one in a push, and deletes none', () => {
    const within = scope('x', { branches: ['side', 'main'] })
    expect(refuse('refs/heads/side', within)).toBeUndefined()
    expect(refuse('refs/heads/main', within)).toBeUndefined()
    expect(refuse('refs/heads/sid', within)).toMatchObject({ reason: 'ref_not_allowed' })
    expect(refuse('refs/heads/side/a', within)).toMatchObject({ reason: 'ref_not_allowed' })
    expect(refuse('refs/tags/side', within)).toMatchObject({ reason: 'ref_not_allowed' })
    expect(refuse('refs/heads/side', within, ZERO_ID)).toMatchObject({
      reason: 'deletion_refused',
    })
    const two = [
      update('refs/errand/saved/work'),
      update('refs/heads/side'),
      update('refs/heads/x'),
    ]
    expect(refuseForSession(two, within).map((refusal) => refusal?.reason)).toEqual([
      ...[undefined, undefined, 'one_branch_at_a_time'],
    ])
  })

  it('tells the default branch from the others: it is granted by its very name only', () => {
    for (const name of ['trunk', 'main', 'master'])
      expect(refuse(`refs/heads/${name}`, scope('x', { branches: ['side'] }))).toMatchObject({
        reason: 'default_branch_not_allowed',
      })
  })

  it('lets what is saved be replaced and not deleted', () => {
    for (const ref of ['refs/errand/saved/work', 'refs/errand/saved/conversation']) {
      expect(refuse(ref, scope('b'))).toBeUndefined()
      expect(refuse(ref, scope('b'), ZERO_ID)).toMatchObject({ reason: 'deletion_refused' })
    }
    expect(refuse('refs/errand/saved', scope('b'))).toBeDefined()
    expect(refuseForUpload(update('refs/errand/saved/work'))).toBeDefined()
  })

  it('accepts nothing beside the scope, whatever git may read', () => {
    const name = fc.constantFrom('a', 'A', 'a/b', 'a.b', 'a-1', 'main')
    const odd = fc.constantFrom('', '/', '/x', '..', '@{0}', '^{}', '~1', ' ', '\0', 'X', '.lock')
    const ref = fc.oneof(
      fc.string({ unit: fc.constantFrom(...'aA/.@{}~^: \0é-') }),
      fc.tuple(
        fc.constantFrom('', 'refs/heads/', 'refs/', 'REFS/HEADS/', '/refs/heads/'),
        name,
        odd,
      ),
    )
    fc.assert(
      fc.property(
        fc.array(ref, { minLength: 1, maxLength: 4 }),
        fc.uniqueArray(name, { minLength: 1, maxLength: 3 }),
        fc.constantFrom(ID, ZERO_ID),
        (refs, [branch = '', ...branches], next) => {
          const within = scope(branch, { branches })
          const updates = refs.map((one) => update([one].flat().join(''), next))
          const refusals = refuseForSession(updates, within)
          const accepted = updates.filter((_, at) => !refusals[at])
          const fits = accepted.every(
            (one) => branchRefs(within).includes(one.ref) && one.new !== ZERO_ID,
          )
          return fits && accepted.length < 2
        },
      ),
    )
  })

  it('says what is allowed and what can be done', () => {
    const linesOf = (ref: string, more: Partial<PushScope> = {}) =>
      refusalLines(refuse(ref, scope('errand/x', more)) as RefRefusal, scope('errand/x', more))
    expect(linesOf('refs/heads/side')).toEqual([
      'errand: this session may push to refs/heads/errand/x only; refs/heads/side was refused',
      'errand: its owner may allow this branch as well: errand grant s_abcdef side',
    ])
    expect(linesOf('refs/tags/v1', { branches: ['side'] })).toEqual([
      'errand: this session may push to refs/heads/errand/x, refs/heads/side only; refs/tags/v1 was refused',
      "errand: push the commits to the session's own branch: tags and the like cannot be allowed",
    ])
    expect(linesOf('refs/heads/side', { repository: 'lib' })[1]).toBe(
      'errand: its owner may allow this branch as well: errand grant s_abcdef side --repository lib',
    )
    expect(linesOf('refs/heads/x;rm').join()).not.toContain('errand grant')
    const back = { update: update('refs/heads/errand/x'), reason: 'not_fast_forward' } as const
    expect(refusalLines(back, scope('errand/x'))[1]).toContain('--rewrite')
    expect(refusalLines(back, scope('errand/x', { repository: 'lib' }))[1]).toBe(
      'errand: or its owner allows to rewrite it: errand grant s_abcdef --rewrite --repository lib',
    )
    expect(refusalLines(back, scope('other'))).toHaveLength(1)
  })

  it('suggests a command only for names that a shell takes as they are', () => {
    fc.assert(
      fc.property(fc.string().filter(isBranchName), (name) => {
        const refusal = { update: update(`refs/heads/${name}`), reason: 'ref_not_allowed' } as const
        const [, hint = ''] = refusalLines(refusal, scope('own'))
        if (hint.includes('errand grant')) expect(name).toMatch(/^\w[\w./-]*$/)
      }),
    )
  })
})

describe('refuseOutward', () => {
  it('lets the own branch and the granted ones out, and no ref that looks like one', () => {
    const within = scope('errand/x', { branches: ['side'] })
    for (const name of ['errand/x', 'side'])
      expect(refuseOutward(update(`refs/heads/${name}`), within)).toBeUndefined()
    // As long as `refs/heads/`: what is cut off by length would be the own branch.
    for (const ref of [
      'refs/notes/side',
      'refs/heads/sid',
      'refs/tags/side',
      'side',
      'refs/heads/',
    ])
      expect(refuseOutward(update(ref), within)).toMatchObject({ reason: 'ref_not_allowed' })
    expect(refuseOutward(update('refs/heads/trunk'), within)).toMatchObject({
      reason: 'default_branch_not_allowed',
    })
    expect(refuseOutward(update('refs/heads/side', ZERO_ID), within)).toMatchObject({
      reason: 'deletion_refused',
    })
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
      `${'a'.repeat(64)} ${'b'.repeat(64)} refs/heads/a`,
    ])
      expect(parseRefUpdate(line)).toBeUndefined()
  })
})
