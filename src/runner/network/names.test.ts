import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DOOR_ADDRESS, DOOR_HOST } from '../../protocol/network.ts'
import { createNames } from './names.ts'

describe('createNames', () => {
  it('gives each name one address of the range and finds it back', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.domain(), { minLength: 1, maxLength: 50 }), (list) => {
        const names = createNames()
        const addresses = list.map((name) => names.addressOf(name))
        expect(new Set(addresses).size).toBe(list.length)
        expect(addresses.map((address) => names.nameOf(address))).toEqual(list)
        expect(list.map((name) => names.addressOf(name))).toEqual(addresses)
        for (const address of addresses) expect(address).toMatch(/^198\.1[89]\./)
      }),
    )
  })

  it('keeps the door apart', () => {
    const names = createNames()
    expect(names.addressOf(DOOR_HOST)).toBe(DOOR_ADDRESS)
    expect(names.nameOf(DOOR_ADDRESS)).toBe(DOOR_HOST)
    expect(names.addressOf('first.example')).toBe('198.18.0.2')
    expect(names.nameOf('198.18.0.0')).toBeUndefined()
  })

  it('forgets the name that was not used for the longest time, and does not hand its address on at once', () => {
    const names = createNames(2)
    const [a, b] = [names.addressOf('a.example'), names.addressOf('b.example')]
    names.nameOf(a)
    const c = names.addressOf('c.example')
    expect(names.nameOf(b)).toBeUndefined()
    expect(names.nameOf(a)).toBe('a.example')
    expect([a, b]).not.toContain(c)
  })

  it('never runs out', () => {
    const names = createNames(10)
    for (let i = 0; i < 140_000; i++) names.addressOf(`n${i}.example`)
    const last = names.addressOf('n139999.example')
    expect(names.nameOf(last)).toBe('n139999.example')
  })

  it('knows nothing of other addresses', () => {
    const names = createNames()
    names.addressOf('a.example')
    for (const address of ['10.0.0.1', '198.20.0.2', 'x', '::1', '198.18.0.2000'])
      expect(names.nameOf(address)).toBeUndefined()
  })
})
