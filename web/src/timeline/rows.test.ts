import { expect, it } from 'vitest'
import type { TimelineItem } from '../../../src/protocol/timeline.ts'
import { toRows } from './rows.ts'

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
