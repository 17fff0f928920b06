import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Environment, environmentSchema, isWider } from '../../protocol/environment.ts'
import { readEnvironmentFile } from './environment-file.ts'

const environment = (fields: object = {}): Environment =>
  environmentSchema.parse({ id: `e_${'a'.repeat(20)}`, name: 'Default', ...fields })
const read = (text: string, fields?: object, hasImage = false) =>
  readEnvironmentFile({ text, truncated: false, hasImage }, environment(fields))
const nothing = {
  image: null,
  variables: {},
  setup: '',
  setupInputs: [],
  network: null,
  notices: [],
}

describe('.errand/environment.yaml', () => {
  it('says what the repository asks for', () => {
    const text = `
image: host
setup: |
  npm ci
setupInputs: [package-lock.json]
variables:
  VERSION: 1.10
  ON: true
network:
  domains: [api.example.com, "*.cdn.example.com"]
`
    expect(read(text)).toEqual({
      ...nothing,
      ...{ setup: 'npm ci\n', setupInputs: ['package-lock.json'] },
      variables: { VERSION: '1.10', ON: 'true' },
      network: {
        ...{ level: 'custom', domains: ['api.example.com', '*.cdn.example.com'] },
        includeTrusted: false,
      },
    })
    expect(read('variables: |\n  A="1 # 2"').variables).toEqual({ A: '1 # 2' })
    expect(read('# nothing yet\n')).toEqual(nothing)
  })

  it('holds under what the owner set', () => {
    const text = 'setup: theirs\nsetupInputs: [a]\nvariables: { A: theirs, B: theirs }'
    const file = read(text, { setup: 'ours', variables: { A: 'ours' } })
    expect(file).toMatchObject({ setup: '', setupInputs: [], variables: { B: 'theirs' } })
    expect(file.notices.join()).toContain("the environment's own setup script")
  })

  it('chooses an image that is there, where the owner chose none', () => {
    const universal = { kind: 'named', name: 'universal' }
    expect(read('image: universal', {}, true)).toEqual({ ...nothing, image: universal })
    expect(read('image: universal', { image: universal }, true)).toEqual(nothing)
    for (const image of [
      { kind: 'named', name: 'mine' },
      { kind: 'rootfs', path: '/srv/mine' },
    ]) {
      const { notices, ...file } = read('image: universal', { image }, true)
      expect(file.image).toBeNull()
      expect(notices.join()).toContain("the environment's own image is used")
    }
  })

  it.each([
    ['trusted', { level: 'trusted' }, false],
    ['trusted', { level: 'none' }, true],
    ['none', { level: 'none' }, false],
    ['none', { level: 'full' }, false],
    ['full', { level: 'trusted' }, true],
    ['full', { level: 'full' }, false],
    ['custom', { level: 'custom', domains: ['a.example'], includeTrusted: true }, false],
    ['trusted, domains: [a.example]', { level: 'trusted' }, true],
    ['trusted', { level: 'custom', domains: ['a.example'], includeTrusted: true }, false],
    ['trusted', { level: 'custom', domains: ['a.example'] }, true],
  ])('asks for %s under %j: a wish %j', (level, network, isWish) => {
    expect(read(`network: { level: ${level} }`, { network }).network !== null).toBe(isWish)
  })

  it.each([
    ['a: [', 'not valid YAML'],
    ['- a', 'keys with values'],
    ['just text', 'keys with values'],
    ['nework: {}', 'line 1: nework: there is no such key; known are image, setup'],
    ['variables: {}\nsecrets: x', 'line 2: secrets: there is no such key'],
    ['__proto__: x', '__proto__: there is no such key'],
    ['variables: { 1A: x }', 'variables: names with text'],
    ['variables: "A"', 'line 1 of them'],
    [
      'variables: { HTTPS_PROXY: x, ANTHROPIC_API_KEY: y }',
      'cannot set HTTPS_PROXY, ANTHROPIC_API',
    ],
    ['setup: [a]', 'a script'],
    ['setupInputs: [../a]', 'within the repository'],
    ['network: { level: all }', 'level, domains'],
    ['network: { domains: ["*"] }', 'level, domains'],
    ['image: universal', '"universal" is not on this machine'],
    ['image: /srv/rootfs', 'the name of an image is expected'],
    ['image: { kind: rootfs, path: / }', 'the name of an image is expected'],
    ['setup: a\nsetup: b', 'not valid YAML'],
    [
      `a: &a [x,x,x,x,x,x,x,x]\nb: &b [${'*a,'.repeat(9)}]\nc: &c [${'*b,'.repeat(9)}]\nd: [${'*c,'.repeat(9)}]`,
      'too often',
    ],
  ])('notes what it does not follow: %j', (text, words) => {
    const file = read(text)
    expect(file.notices.join('\n')).toContain(words)
    expect({ ...file, notices: [] }).toEqual(nothing)
  })

  it('is not followed when it is too long', () => {
    const file = readEnvironmentFile(
      { text: 'setup: a', truncated: true, hasImage: false },
      environment(),
    )
    expect(file).toEqual({ ...nothing, notices: [expect.stringContaining('64 KiB')] })
  })

  it('answers any text, and never asks for what is allowed', () => {
    const word = fc.constantFrom(
      ...['network:', ' level: full', 'variables:', ' A: b', '- x', '&a', '*a', ': ', '{', '"'],
    )
    const text = fc.array(word, { maxLength: 12 }).map((words) => words.join('\n'))
    fc.assert(
      fc.property(text, (written) => {
        const { network } = read(written)
        expect(network === null || isWider(network, environment().network)).toBe(true)
      }),
    )
  })
})
