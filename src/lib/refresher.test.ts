import { describe, expect, it } from 'vitest'
import { createRefresher } from './refresher.ts'

const QUICK = { firstMs: 1, mostMs: 1 }

/** Reads that end when the test says so. */
function createReads() {
  const begun: string[] = []
  const errors: [unknown, string][] = []
  let pending: PromiseWithResolvers<void>[] = []
  const refresher = createRefresher({
    read: (key) => {
      begun.push(key)
      const one = Promise.withResolvers<void>()
      pending.push(one)
      return one.promise
    },
    onError: (error, key) => errors.push([error, key]),
    retry: QUICK,
  })
  const end = (how: (read: PromiseWithResolvers<void>) => void) => {
    const [first] = pending
    pending = pending.slice(1)
    if (first) how(first)
  }
  return {
    begun,
    errors,
    refresher,
    succeed: () => end(({ resolve }) => resolve()),
    fail: (error: unknown) => end(({ reject }) => reject(error)),
  }
}

describe('createRefresher', () => {
  it('reads again by itself what could not be read, until it could', async () => {
    const { begun, errors, refresher, fail, succeed } = createReads()
    refresher.refresh('a')
    fail('first')
    await expect.poll(() => begun.length).toBe(2)
    fail('second')
    await expect.poll(() => begun.length).toBe(3)
    succeed()
    refresher.refresh('b')
    await expect.poll(() => begun).toEqual(['a', 'a', 'a', 'b'])
    expect(errors).toEqual([
      ['first', 'a'],
      ['second', 'a'],
    ])
  })

  it('reads once more for all that is asked while it reads, and not beside it', async () => {
    const { begun, refresher, succeed } = createReads()
    refresher.refresh('a')
    refresher.refresh('a')
    refresher.refresh('a')
    refresher.refresh('b')
    expect(begun).toEqual(['a', 'b'])
    succeed()
    await expect.poll(() => begun).toEqual(['a', 'b', 'a'])
    succeed()
    succeed()
    await new Promise(setImmediate)
    expect(begun).toHaveLength(3)
    refresher.refresh('a')
    expect(begun).toHaveLength(4)
  })

  it('reads nothing once it is closed', async () => {
    const { begun, errors, refresher, fail } = createReads()
    refresher.refresh('a')
    refresher.close()
    fail('too late')
    refresher.refresh('b')
    await new Promise(setImmediate)
    expect(begun).toEqual(['a'])
    expect(errors).toEqual([])
  })
})
