import { describe, expect, it } from 'vitest'
import { createKeyedLock, createSingleFlight } from './flights.ts'

const never = new AbortController().signal

describe('createSingleFlight', () => {
  it('shares one run among those who ask at once, and runs again afterwards', async () => {
    const flights = createSingleFlight<number>()
    let runs = 0
    const work = async () => {
      runs += 1
      return runs
    }
    expect(
      await Promise.all([
        flights('a', never, work),
        flights('a', never, work),
        flights('b', never, work),
      ]),
    ).toEqual([1, 1, 2])
    expect(await flights('a', never, work)).toBe(3)
  })

  it('goes on when one caller leaves, and is aborted when the last one does', async () => {
    const flights = createSingleFlight<string>()
    const [one, two] = [new AbortController(), new AbortController()]
    const aborted = Promise.withResolvers<unknown>()
    const work = (signal: AbortSignal) => {
      signal.addEventListener('abort', () => aborted.resolve(signal.reason))
      return new Promise<string>(() => undefined)
    }
    const first = flights('a', one.signal, work)
    const second = flights('a', two.signal, work)
    one.abort(new Error('first left'))
    await expect(first).rejects.toThrow('first left')
    two.abort(new Error('second left'))
    await expect(second).rejects.toThrow('second left')
    expect(await aborted.promise).toEqual(new Error('second left'))
    expect(await flights('a', never, async () => 'anew')).toBe('anew')
  })

  it('tells a failure to everyone', async () => {
    const flights = createSingleFlight<never>()
    const work = async () => {
      throw new Error('no')
    }
    const results = await Promise.allSettled([flights('a', never, work), flights('a', never, work)])
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  })
})

describe('createKeyedLock', () => {
  it('runs one after the other under a key, also after a failure', async () => {
    const lock = createKeyedLock()
    const seen: string[] = []
    const step = (name: string, fails: boolean) => async () => {
      seen.push(`${name} begins`)
      await Promise.resolve()
      seen.push(`${name} ends`)
      if (fails) throw new Error(name)
    }
    const results = await Promise.allSettled([
      lock('k', step('a', true)),
      lock('k', step('b', false)),
    ])
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'fulfilled'])
    expect(seen).toEqual(['a begins', 'a ends', 'b begins', 'b ends'])
  })
})
