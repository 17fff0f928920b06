import { describe, expect, it } from 'vitest'
import { plainText } from './plain-text.ts'

describe('plainText', () => {
  it.each([
    ['\u001b]52;c;ZXZpbA==\u0007a', 'a'],
    ['\u001b]8;;https://evil.example\u001b\\words\u001b]8;;\u001b\\', 'words'],
    ['\u001bP$q"p\u001b\\a', 'a'],
    ['\u001b[2J\u001b[31mred\u009b0m', 'red'],
    ['10 %\r20 %\r\ndone', '20 %\ndone'],
    ['a\b\u007f\u0000', 'a'],
  ])('drops what a terminal would act on in %j', (text, shown) => {
    expect(plainText(text)).toBe(shown)
  })

  it.each([
    ['\u202egnp.exe', '⟨U+202E⟩gnp.exe'],
    ['a\u2066b\u061c', 'a⟨U+2066⟩b⟨U+061C⟩'],
    ['pass\u200bword\u00ad\ufeff', 'pass⟨U+200B⟩word⟨U+00AD⟩⟨U+FEFF⟩'],
    // Letters that nobody sees, and a model reads.
    ['ok\u{e0072}\u{e006d}', 'ok⟨U+E0072⟩⟨U+E006D⟩'],
  ])('shows what turns or hides text in %j', (text, shown) => {
    expect(plainText(text)).toBe(shown)
  })

  it('keeps what people write', () => {
    const text = 'Zoë: 日本語 👩‍💻 — “ok”\n\tindented\n'
    expect(plainText(text)).toBe(text)
  })
})
