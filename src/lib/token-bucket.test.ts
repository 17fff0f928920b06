import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createTokenBucket } from './token-bucket.ts'

describe('createTokenBucket', () => {
  it('gives the burst at once, then the rate', () => {
    let nowMs = 0
    const take = createTokenBucket({ perSecond: 10, burst: 3 }, () => nowMs)
    expect([take(), take(), take()]).toEqual([0, 0, 0])
    expect(take()).toBe(100)
    nowMs = 99
    expect(take()).toBe(1)
    nowMs = 100
    expect(take()).toBe(0)
    nowMs = 60_000
    expect([take(), take(), take(), take() > 0]).toEqual([0, 0, 0, true])
  })

  it('never gives more than burst and rate allow', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(2_000)), (steps) => {
        let nowMs = 0
        const take = createTokenBucket({ perSecond: 5, burst: 4 }, () => nowMs)
        let taken = 0
        for (const step of steps) {
          nowMs += step
          if (take() === 0) taken += 1
        }
        expect(taken).toBeLessThanOrEqual(4 + (nowMs * 5) / 1_000)
      }),
    )
  })
})
