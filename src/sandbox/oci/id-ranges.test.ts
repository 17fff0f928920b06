import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { allocateRange, parseSubordinateIds, placeOf, RANGE_SIZE } from './id-ranges.ts'

const FIRST = 0x10000000

describe('allocateRange', () => {
  it('takes the lowest free range', () => {
    expect(allocateRange([])).toBe(FIRST)
    expect(allocateRange([{ start: FIRST, size: RANGE_SIZE }])).toBe(FIRST + RANGE_SIZE)
    expect(allocateRange([{ start: FIRST + RANGE_SIZE, size: RANGE_SIZE }])).toBe(FIRST)
  })

  it('never touches what is taken, however that lies', () => {
    const range = fc.record({
      start: fc.integer({ min: 0, max: FIRST + 20 * RANGE_SIZE }),
      size: fc.integer({ min: 1, max: 3 * RANGE_SIZE }),
    })
    fc.assert(
      fc.property(fc.array(range, { maxLength: 20 }), (taken) => {
        const start = allocateRange(taken)
        expect((start - FIRST) % RANGE_SIZE).toBe(0)
        for (const other of taken)
          expect(other.start + other.size <= start || other.start >= start + RANGE_SIZE).toBe(true)
      }),
    )
  })

  it('says when none is left', () => {
    expect(() => allocateRange([{ start: 0, size: 2 ** 32 }])).toThrow('No user id range is left')
  })

  it('begins at the place of its installation, and comes round to what lies before', () => {
    const mine = FIRST + 7 * RANGE_SIZE
    expect(allocateRange([], 7)).toBe(mine)
    expect(allocateRange([{ start: mine, size: RANGE_SIZE }], 7)).toBe(mine + RANGE_SIZE)
    expect(allocateRange([{ start: mine, size: 2 ** 32 }], 7)).toBe(FIRST)
    expect(allocateRange([{ start: 0, size: mine }], 2 ** 32 - 1)).toBeGreaterThanOrEqual(mine)
  })
})

it('two installations of a machine begin far apart, also with data folders made one after the other', () => {
  const [a = 0, b = 0] = [100, 101].map((ino) => allocateRange([], placeOf({ dev: 1, ino })))
  expect(Math.abs(a - b)).toBeGreaterThan(1000 * RANGE_SIZE)
})

describe('parseSubordinateIds', () => {
  it('reads what is well formed', () => {
    expect(parseSubordinateIds('ann:100000:65536\n# x\nbob:300:y\n1000:200000:10\n')).toEqual([
      { start: 100000, size: 65536 },
      { start: 200000, size: 10 },
    ])
    expect(parseSubordinateIds('ann:1:2\nbob:3:4\n1000:5:6\n', ['ann', '1000'])).toEqual([
      { start: 1, size: 2 },
      { start: 5, size: 6 },
    ])
  })
})
