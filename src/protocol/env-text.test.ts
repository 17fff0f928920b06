import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatEnvText, parseEnvText } from './env-text.ts'

const variables = (text: string) => {
  const result = parseEnvText(text)
  return result.ok ? result.variables : result.error
}

describe('.env text', () => {
  it.each([
    ['A=1', { A: '1' }],
    ['\uFEFFA=1\r\nB=2\r\n', { A: '1', B: '2' }],
    ['  export A = 1  ', { A: '1' }],
    ['# no\n\nA=', { A: '' }],
    ['A=a b # said', { A: 'a b' }],
    ['A=a#b', { A: 'a' }],
    ['A="a # b" # said', { A: 'a # b' }],
    ["A='a\nb'\nB=2", { A: 'a\nb', B: '2' }],
    ['A="a\nb\\nc\\t\\"\\\\\\$x"', { A: 'a\nb\nc\t"\\$x' }],
    ["A='\\n $HOME'", { A: '\\n $HOME' }],
    ['A=$HOME', { A: '$HOME' }],
    ['A="C:\\work"', { A: 'C:\\work' }],
    ["A=it's", { A: "it's" }],
    ['A=x=y', { A: 'x=y' }],
  ])('%j', (text, expected) => expect(variables(text)).toEqual(expected))

  it.each([
    ['A=1\nnot a line', 2, 'NAME=value'],
    ['A=1\n\n1B=2', 3, 'not a name'],
    ['A=1\nA=2', 2, 'line 1 already'],
    ['A="x\ny\nB=2', 1, 'closing "'],
    ["A='x\ny'\nB='z", 3, "closing '"],
    ["A='x' y", 1, 'only a comment'],
    ['A=a\0b', 1, 'NUL'],
    [`A=1\nB=${'x'.repeat(40_000)}`, 2, 'longer'],
  ])('names the line of what it refuses: %j', (text, line, message) => {
    expect(variables(text)).toMatchObject({ line, message: expect.stringContaining(message) })
  })

  it('reads what it wrote', () => {
    const name = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_]{0,20}$/).filter((n) => n !== '__proto__')
    const value = fc
      .string({ unit: fc.constantFrom(...'ab=# \t\n\r\'"\\$`é;'.split('')), maxLength: 20 })
      .map((text) => text.replaceAll('\0', ''))
    fc.assert(
      fc.property(fc.dictionary(name, value), (written) => {
        expect(variables(formatEnvText(written))).toEqual({ ...written })
      }),
    )
  })

  it('answers any text', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom(...'A=\'"\\# \n1é'), maxLength: 40 }),
        (text) => {
          const result = parseEnvText(text)
          if (!result.ok) expect(result.error.line).toBeLessThanOrEqual(text.split('\n').length)
        },
      ),
    )
  })
})
