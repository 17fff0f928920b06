import { describe, expect, it } from 'vitest'
import { idMaps, pickSlice, slicesOf } from './rootless-ids.ts'

describe('slicesOf', () => {
  it('cuts ranges of users and groups into pairs', () => {
    const uids = [
      { start: 100_000, size: 65_536 },
      { start: 400_000, size: 200_000 },
    ]
    const gids = [{ start: 300_000, size: 131_072 }]
    expect(slicesOf(uids, gids)).toEqual([
      { uid: 100_000, gid: 300_000 },
      { uid: 400_000, gid: 365_536 },
    ])
  })

  it('has none where a range is too small or could be a real user', () => {
    const whole = [{ start: 100_000, size: 65_536 }]
    expect(slicesOf([{ start: 100_000, size: 65_535 }], whole)).toEqual([])
    expect(slicesOf([{ start: 1000, size: 65_536 }], whole)).toEqual([])
    expect(slicesOf(whole, [])).toEqual([])
  })
})

it('makes the user root, and gives a slice one number for users and groups', () => {
  expect(idMaps({ uid: 1000, gid: 1001 }, [{ uid: 100_000, gid: 300_000 }])).toEqual([
    '0 1000 1 100000 100000 65536',
    '0 1001 1 100000 300000 65536',
  ])
})

it('gives every sandbox a slice of its own until they have to share', () => {
  const slices = [100_000, 200_000].map((start) => ({ uid: start, gid: start }))
  expect(pickSlice(slices, [])).toBe(100_000)
  expect(pickSlice(slices, [100_000])).toBe(200_000)
  expect(pickSlice(slices, [100_000, 200_000])).toBe(100_000)
  expect(pickSlice(slices, [100_000, 100_000, 200_000])).toBe(200_000)
  expect(() => pickSlice([], [])).toThrow()
})
