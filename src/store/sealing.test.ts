import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { createSealer } from './sealing.ts'

const key = randomBytes(32)

test('a secret comes back as it was, and looks different each time', () => {
  const sealer = createSealer(key)
  for (const secret of ['', 'token', 'ключ\u0000\n', 'k'.repeat(20_000)]) {
    const sealed = sealer.seal(secret, 'row')
    expect(sealer.open(sealed, 'row')).toBe(secret)
    expect(sealed.equals(sealer.seal(secret, 'row'))).toBe(false)
  }
  expect(createSealer(key).open(sealer.seal('a', 'row'), 'row')).toBe('a')
})

test('a secret opens neither for another row nor after any change of a byte', () => {
  const sealer = createSealer(key)
  const sealed = sealer.seal('token', 'row')
  expect(() => sealer.open(sealed, 'other')).toThrow(
    expect.objectContaining({ reason: 'secret_unreadable' }),
  )
  for (let index = 0; index < sealed.length; index++) {
    const changed = Buffer.from(sealed)
    changed[index] = (changed[index] ?? 0) ^ 1
    expect(() => sealer.open(changed, 'row')).toThrow()
  }
  for (const length of [0, 10, sealed.length - 1]) {
    expect(() => sealer.open(sealed.subarray(0, length), 'row')).toThrow()
  }
})

test('another key is told from damage, and a short one is refused', () => {
  const sealed = createSealer(key).seal('token', 'row')
  expect(() => createSealer(randomBytes(32)).open(sealed, 'row')).toThrow(
    expect.objectContaining({ reason: 'sealing_key_other' }),
  )
  expect(() => createSealer(randomBytes(31))).toThrow(
    expect.objectContaining({ reason: 'sealing_key_short' }),
  )
})
