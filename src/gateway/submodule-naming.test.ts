import { expect, it } from 'vitest'
import { parseRepositoryUrl, type RepositoryUrl } from '../git/upstream/repository-url.ts'
import { mayName } from './submodule-naming.ts'

function repository(url: string): RepositoryUrl {
  const parsed = parseRepositoryUrl(url)
  if (!parsed.ok) throw new Error(parsed.message)
  return parsed.repository
}

const may = (parent: string, child: string, own: string[] = []) =>
  mayName(repository(parent), repository(child), own.map(repository))

it('is every repository at a host of one owner, by the same protocol and port', () => {
  const parent = 'https://git.acme.example/team/lib.git'
  expect(may(parent, 'https://git.acme.example/other/base.git')).toBe(true)
  expect(may('git@git.acme.example:team/lib', 'git@git.acme.example:other/base')).toBe(true)
  for (const child of [
    ...['https://git.evil.example/team/base', 'https://git.acme.example.evil.example/team/base'],
    ...['https://git.acme.example:8443/team/base', 'http://git.acme.example/team/base'],
    ...['git@git.acme.example:team/base', 'https://github.com/team/base'],
  ])
    expect(may(parent, child), child).toBe(false)
})

it('is what lies beside it at a public forge, for strangers', () => {
  const own = ['https://github.com/acme/shop']
  const stranger = 'https://github.com/stranger/lib.git'
  expect(may(stranger, 'https://github.com/stranger/base', own)).toBe(true)
  expect(may(stranger, 'https://github.com/Stranger/base', own)).toBe(true)
  for (const child of ['acme/secret', 'acme/shop', 'stranger2/base', 'strange/base'])
    expect(may(stranger, `https://github.com/${child}`, own), child).toBe(false)
  const overSsh = may('git@github.com:stranger/lib', 'git@github.com:acme/secret', own)
  expect(overSsh).toBe(false)
})

it('is everything there for those of the place of a repository of the session', () => {
  const own = ['https://gitlab.example/acme/x', 'https://github.com/acme/shop']
  expect(may('https://github.com/acme/lib', 'https://github.com/friends/base', own)).toBe(true)
  expect(may('git@github.com:acme/lib', 'git@github.com:friends/base', own)).toBe(true)
  expect(may('https://gitlab.com/acme/lib', 'https://gitlab.com/friends/base', own)).toBe(false)
})
