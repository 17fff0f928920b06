import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { actsOnTerminal } from '../cli.fixture.ts'
import { fillLines, fitLine, plainLine, plainText, safeJson, wrapText } from './plain-text.ts'

const ATTACKS = [
  '\x1b[2J\x1b[H', // clears the screen
  '\x1b]0;title\x07', // sets the window title
  '\x1b]52;c;cm0gLXJm\x07', // writes the clipboard
  '\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\', // hides an address behind text
  '\x9b31m', // the same as ESC [ in one byte
  'safe\rrm -rf /', // writes over the line
  'a\b\b\bb', // rubs out
  '\u202eexe.txt', // turns the direction
  '\u2066x\u2069',
  'a\u200bb\ufeff', // cannot be seen
  '\u{e0041}\u{e0042}', // cannot be seen either
  '\ud800', // half a character
]

describe('plainText', () => {
  it.each(ATTACKS)('leaves nothing in %j that a terminal acts on', (attack) => {
    const shown = plainText(attack)
    expect(actsOnTerminal(shown)).toBe(false)
    expect(shown).toMatch(/\\x|\\u\{/)
  })

  it('leaves nothing in any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        for (const shown of [plainText(text), plainLine(text), safeJson(text)]) {
          expect(actsOnTerminal(shown)).toBe(false)
        }
      }),
    )
  })

  it('keeps what people write', () => {
    const text = 'Zoë: 日本語 👩‍💻 — “ok”\n\tindented\n'
    expect(plainText(text)).toBe(text)
    expect(plainText('a\r\nb')).toBe('a\nb')
    expect(plainLine('a\n\n b\tc')).toBe('a  b c')
  })
})

describe('safeJson', () => {
  it('stays the same value', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.string({ unit: 'binary' }), (value, text) => {
        const whole = { value, text }
        expect(JSON.parse(safeJson(whole))).toEqual(JSON.parse(JSON.stringify(whole)))
        expect(safeJson(whole)).not.toContain('\n')
      }),
    )
  })
})

describe('wrapText', () => {
  it('breaks between words and leaves what is indented as it is', () => {
    expect(wrapText('one two three\n  code that is long\nx', 8)).toEqual([
      ...['one two', 'three', '  code that is long', 'x'],
    ])
    expect(wrapText('verylongword and', 5)).toEqual(['verylongword', 'and'])
    expect(wrapText('你好 你好', 6)).toEqual(['你好', '你好'])
  })

  it('keeps the parts of a line together', () => {
    expect(fillLines(['a 1 s', 'b 2 s', 'c 3 s'], ' · ', 13)).toEqual(['a 1 s · b 2 s', 'c 3 s'])
  })
})

describe('fitLine', () => {
  it('fits', () => {
    expect(fitLine('short', 10)).toBe('short')
    expect(fitLine('exactly 10', 10)).toBe('exactly 10')
    expect(fitLine('longer than 10', 10)).toBe('longer th…')
    expect(fitLine('日本語日本語', 6)).toBe('日本…')
  })
})
