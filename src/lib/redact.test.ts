// Values are found in every form, wherever the text is cut; other text stays as it is.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createRedactor, formsOf, REDACTED } from './redact.ts'

const SECRET = 'tok-s3cret/0123+abc=='
const values = fc.string({ minLength: 8, maxLength: 40 }).filter((one) => one.trim().length >= 8)
const around = fc.string({ maxLength: 30 })

const encoders: Record<string, (text: string) => string> = {
  'as it is': (text) => text,
  base64: (text) => Buffer.from(text).toString('base64'),
  'base64 for URLs': (text) => Buffer.from(text).toString('base64url'),
  hexadecimal: (text) => Buffer.from(text).toString('hex'),
  'hexadecimal in capitals': (text) => Buffer.from(text).toString('hex').toUpperCase(),
  base32,
  'base32 in small letters': (text) => base32(text).toLowerCase(),
  'percent-encoded': (text) => encodeURIComponent(text),
  JSON: (text) => JSON.stringify(text).slice(1, -1),
}

/** RFC 4648, by arithmetic. */
function base32(text: string): string {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
  const bytes = Buffer.from(text)
  let number = BigInt(`0x0${bytes.toString('hex')}`)
  const count = Math.ceil((bytes.length * 8) / 5)
  number <<= BigInt(count * 5 - bytes.length * 8)
  let encoded = ''
  for (; encoded.length < count; number >>= 5n) encoded = letters[Number(number & 31n)] + encoded
  return encoded.padEnd(Math.ceil(encoded.length / 8) * 8, '=')
}

/** No form of the value is left, and so nothing to read it from. */
function expectGone(text: string, value: string) {
  for (const form of formsOf(value)) expect(text.includes(form), form).toBe(false)
}

describe.each(Object.entries(encoders))('%s', (_, encode) => {
  it('is known', () => {
    const { text } = createRedactor([SECRET])
    for (const before of ['', 'a', 'bc', 'def', 'ghij'])
      expect(text(encode(`${before}${SECRET}--`))).toContain(REDACTED)
  })

  it('is found at every place of what stands around it', () => {
    fc.assert(
      fc.property(values, around, around, (value, before, after) => {
        const text = encode(`${before}${value}${after}`)
        expectGone(createRedactor([value]).text(text), value)
      }),
      { numRuns: 60 },
    )
  })
})

it('is found however the text is cut', () => {
  const cuts = fc.array(fc.nat({ max: 200 }), { maxLength: 12 })
  fc.assert(
    fc.property(values, around, around, cuts, (value, before, after, at) => {
      const redactor = createRedactor([value, SECRET])
      const text = `${before}${value}${after}${SECRET}${before}${Buffer.from(value).toString('hex')}`
      const places = [0, ...at.filter((place) => place < text.length), text.length].sort(
        (a, b) => a - b,
      )
      const stream = redactor.stream()
      const pieces = places.slice(1).map((to, index) => stream.push(text.slice(places[index], to)))
      expect([...pieces, stream.end()].join('')).toBe(redactor.text(text))
    }),
    { numRuns: 100 },
  )
})

it('leaves everything else as it is, and holds nothing of it back', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 300 }), (text) => {
      fc.pre(!formsOf(SECRET).some((form) => text.includes(form)))
      expect(createRedactor([SECRET]).text(text)).toBe(text)
    }),
  )
  const stream = createRedactor([SECRET]).stream()
  expect(stream.push('nothing here!')).toBe('nothing here!')
  expect(stream.push('so tok-s3')).toBe('so ')
  expect(stream.push('x')).toBe('tok-s3x')
  expect(createRedactor(['short', '']).text('short')).toBe('short')
})

it('marks a value once, also where values overlap', () => {
  const redactor = createRedactor(['abcdefghij', 'ghijklmnop', 'abcdefghijk'])
  expect(redactor.text('<abcdefghijklmnop>')).toBe(`<${REDACTED}>`)
  expect(redactor.text('abcdefghij abcdefghij')).toBe(`${REDACTED} ${REDACTED}`)
  expect(redactor.json({ a: ['abcdefghij', 1, null], abcdefghij: { b: 'x ghijklmnop' } })).toEqual({
    a: [REDACTED, 1, null],
    [REDACTED]: { b: `x ${REDACTED}` },
  })
})

it('finds the lines of a key by themselves', () => {
  const key = `-----BEGIN X-----\n${'a1'.repeat(32)}\n${'b2'.repeat(32)}\n-----END X-----\n`
  const text = createRedactor([key]).text(`  | ${'b2'.repeat(32)}\n`)
  expect(text).toBe(`  | ${REDACTED}\n`)
})

it('takes time by the length of the text alone', () => {
  const redactor = createRedactor(
    Array.from({ length: 50 }, (_, at) => `${'a'.repeat(30)}${at}zzzz`),
  )
  const time = (text: string) => {
    const startedAt = performance.now()
    redactor.text(text)
    return performance.now() - startedAt
  }
  time('a'.repeat(1 << 16))
  // Beginnings of all values everywhere: quadratic work would take minutes.
  expect(time('a'.repeat(1 << 21))).toBeLessThan(10_000)
})

it('is found in a host name, in small letters and over several labels', () => {
  const value = 'Tok3nWithCapitals0123456789'
  const { host } = createRedactor([value, 'short'])
  const small = value.toLowerCase()
  const hex = Buffer.from(value).toString('hex')
  expect(host(`${small}.example.com`)).toBe(`${REDACTED}.example.com`)
  expect(host(`x-${value}-y.example.com`)).toBe(`x-${REDACTED}-y.example.com`)
  expect(host(`${hex}.example.com`)).toBe(`${REDACTED}.example.com`)
  const letters = base32(`x${value}`).replaceAll('=', '').toLowerCase()
  expect(host(`${letters}.example.com`)).toContain(REDACTED)
  expect(host(`${letters.slice(0, 20)}.${letters.slice(20)}.example.com`)).toBe(REDACTED)
  expect(host(`${small.slice(0, 9)}.${small.slice(9)}.example.com`)).toBe(REDACTED)
  expect(host(`${small}.${hex.slice(0, 20)}.${hex.slice(20)}.example.com`)).toBe(REDACTED)
  for (const name of ['short.example.com', 'API.example.com', '192.0.2.1'])
    expect(host(name)).toBe(name)
  expect(createRedactor([]).host('a.example')).toBe('a.example')
})
