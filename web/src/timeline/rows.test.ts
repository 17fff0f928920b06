import { expect, it } from 'vitest'
import type { TimelineItem } from '../../../src/protocol/timeline.ts'
import { keptReason, toRows } from './rows.ts'

function noticesOf(...told: [tone: 'plain' | 'bad', text: string][]): string[] {
  const items = told.map(([tone, text], index) => {
    const at = { seq: index + 1, at: '2026-01-01T00:00:00.000Z' }
    return { kind: 'notice', code: 'model_key_missing', tone, text, ...at } as TimelineItem
  })
  return toRows(items).flatMap((row) =>
    row.kind === 'item' && row.item.kind === 'notice' ? [row.item.text] : [],
  )
}

it('a failure that comes again at once stands once; other lines stay', () => {
  expect(noticesOf(['bad', 'no key'], ['bad', 'no key'], ['bad', 'no key'])).toEqual(['no key'])
  expect(noticesOf(['bad', 'no key'], ['bad', 'no host'], ['bad', 'no key'])).toHaveLength(3)
  expect(noticesOf(['plain', 'pushed'], ['plain', 'pushed'])).toHaveLength(2)
})

it('commits that wait say why, for each repository', () => {
  const push = (repository: string | null, outward: string, reason: string | null, seq: number) => {
    const at = { seq, at: '2026-01-01T00:00:00.000Z' }
    const said = {
      ref: 'refs/heads/x',
      commit: 'c0ffee',
      accepted: true,
      text: '',
      grantable: null,
    }
    return { kind: 'push', repository, outward, reason, ...said, ...at } as TimelineItem
  }
  const rows = toRows([
    push(null, 'kept', 'upstream_unreachable', 1),
    push('lib', 'kept', 'credential_missing', 2),
    push(null, 'refused', 'repository_access_denied', 3),
    push(null, 'forwarded', null, 4),
  ])
  expect(keptReason(rows, null)).toBe('repository_access_denied')
  expect(keptReason(rows, 'lib')).toBe('credential_missing')
  expect(keptReason(rows, 'docs')).toBeNull()
})
