import { describe, expect, it } from 'vitest'
import { createFigure, percentile } from './figure.ts'

describe('percentile', () => {
  it('interpolates between the nearest ranks, whatever the order', () => {
    expect(percentile([4, 1, 3, 2], 50)).toBe(2.5)
    expect(percentile([1, 2, 3, 4, 5], 95)).toBeCloseTo(4.8)
    expect(percentile([7], 95)).toBe(7)
    expect([percentile([1, 2, 3], 0), percentile([1, 2, 3], 100)]).toEqual([1, 3])
  })

  it('refuses to make something of nothing, and leaves its argument alone', () => {
    expect(() => percentile([], 50)).toThrow(RangeError)
    const samples = [3, 1, 2]
    percentile(samples, 50)
    expect(samples).toEqual([3, 1, 2])
  })
})

describe('createFigure', () => {
  const of = (name: string, ours: number[], other?: number[]) =>
    createFigure({
      ...{ name, unit: 'ms', ours, benchmark: name },
      ...(other ? { other: { name: 'the other', samples: other } } : {}),
    })

  it('holds the ratio of the medians against the target', () => {
    expect(of('start', [300, 310, 290], [200, 210, 190])).toMatchObject({
      ...{ p50: 300, against: 200, ratio: 1.5, target: 1.5, ok: true, versus: 'the other' },
      ...{ runs: 3, quick: true, command: './errand bench start' },
    })
    expect(of('start', [301], [200])).toMatchObject({ ok: false })
  })

  it('knows targets that are to be exceeded, and those of the figure itself', () => {
    expect(of('download', [79], [100])).toMatchObject({ ratio: 0.79, ok: false })
    expect(of('download', [80], [100])).toMatchObject({ ok: true })
    expect(of('memory-stopped', [0])).toMatchObject({ ratio: null, target: 0, ok: true })
    expect(of('memory-stopped', [1])).toMatchObject({ ok: false })
  })

  it('judges nothing without a target, and marks too few runs', () => {
    const figure = of('event', new Array<number>(20).fill(1))
    expect(figure).toMatchObject({ target: null, ok: null, against: null, quick: false })
    expect(of('start', [1])).toMatchObject({ ratio: null, ok: false })
  })
})
