import fc from 'fast-check'
import { expect, it } from 'vitest'
import { resolveSubmoduleUrl } from './submodule-url.ts'

const BASE = 'https://forge.example/team/shop.git'
const of = (text: string, base = BASE) => resolveSubmoduleUrl(base, text)?.url

it('resolves what is relative as git does', () => {
  expect(of('../lib.git')).toBe('https://forge.example/team/lib.git')
  expect(of('../../other/lib')).toBe('https://forge.example/other/lib')
  expect(of('./sub')).toBe('https://forge.example/team/shop.git/sub')
  expect(of('.././lib/')).toBe('https://forge.example/team/lib')
  expect(of('../lib', 'https://forge.example:8443/shop/')).toBe('https://forge.example:8443/lib')
})

it('resolves beside an ssh or http repository as well', () => {
  expect(of('../lib.git', 'git@forge.example:team/shop.git')).toBe('git@forge.example:team/lib.git')
  expect(of('../../lib', 'git@forge.example:team/shop')).toBe('git@forge.example:lib')
  expect(of('../lib', 'ssh://git@forge.example:2222/team/shop')).toBe(
    'ssh://git@forge.example:2222/team/lib',
  )
  expect(of('../lib', 'http://forge.example/team/shop')).toBe('http://forge.example/team/lib')
  expect(of('../../../lib', 'git@forge.example:team/shop')).toBeUndefined()
})

it('takes whole addresses of any host', () => {
  expect(of('git@other.example:a/lib')).toBe('git@other.example:a/lib')
  expect(of('http://other.example/a/lib')).toBe('http://other.example/a/lib')
  expect(of('https://Other.example/a/lib.git/')).toBe('https://other.example/a/lib.git')
})

it('goes after nothing else', () => {
  for (const text of [
    ...['../../../lib', '../../..//evil.example/lib', '../a/../../b', '../..', '..', ''],
    ...['ext::sh -c id', 'file:///etc', '/etc', '-upload-pack=id', '--upload-pack=id'],
    ...['git://forge.example/lib', 'https://me:secret@forge.example/lib', '../lib?x', '../l\nib'],
    ...['https://token-of-twenty-characters@forge.example/lib', 'https://-x.example/lib'],
  ])
    expect(of(text), text).toBeUndefined()
  for (const base of ['/srv/shop', 'file:///srv/shop', ''])
    expect(of('../lib', base), base).toBeUndefined()
})

it('never leaves the host of the repository by a relative address', () => {
  const bases = fc.constantFrom(BASE, 'git@forge.example:team/shop', 'ssh://forge.example/shop')
  const part = fc.constantFrom('../', './', '/', 'a', '..', '@evil.example', ':', '//', '\\', '%2e')
  fc.assert(
    fc.property(fc.array(part), fc.constantFrom('./', '../'), bases, (parts, first, base) => {
      const found = resolveSubmoduleUrl(base, first + parts.join(''))
      expect(found?.host ?? 'forge.example').toBe('forge.example')
    }),
  )
})
