import fc from 'fast-check'
import { expect, it } from 'vitest'
import { wantedPullRefs } from './pull-refs.ts'

const packet = (text: string) => `${(text.length + 4).toString(16).padStart(4, '0')}${text}`
const body = (...prefixes: string[]) =>
  Buffer.from(
    [
      ...[packet('command=ls-refs\n'), packet('agent=git/2'), '0001', packet('peel\n')],
      ...[...prefixes.map((prefix) => packet(`ref-prefix ${prefix}\n`)), '0000'],
    ].join(''),
  )

it('reads the refs of requests that are asked for by name, and all of them', () => {
  expect(wantedPullRefs(body('pull/7/head', 'refs/pull/7/head', 'refs/heads/main'))).toEqual([
    'refs/pull/7/head',
  ])
  expect(
    wantedPullRefs(body('refs/merge-requests/12/merge', 'refs/merge-requests/12/head')),
  ).toEqual(['refs/merge-requests/12/merge', 'refs/merge-requests/12/head'])
  expect(wantedPullRefs(body('refs/pull/'))).toEqual(['refs/pull/*/head'])
})

it('takes nothing else for one', () => {
  const others = ['refs/pull/0/head', 'refs/pull/7', 'refs/pull/7/headx', 'refs/pull/7/head:refs/x']
  expect(
    wantedPullRefs(body(...others, '+refs/pull/7/head', 'refs/pull/-1/head', 'refs/')),
  ).toEqual([])
  expect(wantedPullRefs(Buffer.from(packet('command=fetch\n')))).toEqual([])
  const many = Array.from({ length: 40 }, (_, index) => `refs/pull/${index + 1}/head`)
  expect(wantedPullRefs(body(...many))).toHaveLength(16)
})

it('reads whatever comes without failing, and names nothing but refs of requests', () => {
  const safe = /^refs\/(?:pull|merge-requests)\/(?:\d+\/(?:head|merge)|\*\/head)$/
  fc.assert(
    fc.property(
      fc.array(fc.string({ maxLength: 60 }), { maxLength: 5 }),
      fc.nat(80),
      (prefixes, cut) => {
        const whole = body('refs/pull/1/head', ...prefixes)
        for (const part of [whole, whole.subarray(0, cut), whole.subarray(cut)])
          expect(wantedPullRefs(part).every((ref) => safe.test(ref))).toBe(true)
      },
    ),
  )
})
