import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseRepositoryUrl } from './repository-url.ts'

const urlOf = (text: string) => {
  const result = parseRepositoryUrl(text)
  return result.ok ? result.repository.url : result.reason
}

describe('parseRepositoryUrl', () => {
  it.each([
    ['https://GitHub.com/ada/engine.git', 'https://github.com/ada/engine.git', 'engine', 443],
    ['https://github.com/ada/engine/', 'https://github.com/ada/engine', 'engine', 443],
    ['https://github.com:443/a/b', 'https://github.com/a/b', 'b', 443],
    ['http://git.local:3000/a/b%20c.git', 'http://git.local:3000/a/b%20c.git', 'b-c', 3000],
    ['https://[2001:db8::1]/a', 'https://[2001:db8::1]/a', 'a', 443],
    ['ssh://git@host.example:2222/a/b.git', 'ssh://git@host.example:2222/a/b.git', 'b', 2222],
    ['ssh://host.example/~ada/b', 'ssh://host.example/~ada/b', 'b', 22],
    ['git@github.com:ada/engine.git', 'git@github.com:ada/engine.git', 'engine', 22],
    ['Host.example:/srv/x.git', 'host.example:/srv/x.git', 'x', 22],
    ['https://host/.git', 'https://host/.git', 'repository', 443],
    ['https://host/...git', 'https://host/...git', 'repository', 443],
  ])('takes %s', (text, url, name, port) => {
    expect(parseRepositoryUrl(text)).toMatchObject({ ok: true, repository: { url, name, port } })
  })

  it.each([
    '',
    '-oProxyCommand=id',
    '--upload-pack=id',
    '/srv/git/x.git',
    './x',
    '../x',
    'x',
    'C:/x',
    'c:\\x',
    'file:///etc',
    'FILE:///etc',
    'git://host/x',
    'ftp://host/x',
    'ext::sh -c id',
    'ext::id',
    'fd::17',
    'https://host',
    'https://host/',
    'https://host/a/../b',
    'https://host/a/%2e%2e/b',
    'https://host/a%2fb',
    'https://host/a/./b',
    'https://host/a?b',
    'https://host/a#b',
    'https://host/a b',
    'https://host/a%0ab',
    'https://host/%ff',
    'https://ho st/a',
    'https://-host/a',
    'https:///a',
    'https://host//a',
    'https://a:%0d%0aX:1@host/x',
    'ssh://-oProxyCommand=id/x',
    'ssh://git:secret@host/x',
    'ssh://-git@host/x',
    '-git@host:x',
    'git@-host:x',
    'git@host:-x',
    'git@host:../x',
    'git@host:',
    'host:a\nb',
    'https://host/\ud800',
    `https://host/${'a'.repeat(2048)}`,
  ])('refuses %j', (text) => {
    expect(parseRepositoryUrl(text).ok).toBe(false)
  })

  it('splits a credential from an http address', () => {
    const parse = (text: string) => {
      const result = parseRepositoryUrl(text)
      return result.ok ? [result.repository.url, result.repository.credential] : result.reason
    }
    expect(parse('https://ada:p%40ss@host/x')).toEqual([
      'https://host/x',
      { username: 'ada', secret: 'p@ss' },
    ])
    expect(parse('https://:pass@host/x')).toEqual([
      'https://host/x',
      { username: null, secret: 'pass' },
    ])
    const token = 'ghp_0123456789abcdefghij'
    expect(parse(`https://${token}@host/x`)).toEqual([
      'https://host/x',
      { username: null, secret: token },
    ])
    expect(parse('https://organisation@host/x')).toEqual(['https://host/x', null])
  })

  it('gives addresses that hold no credential, name a safe folder, and stay as they are', () => {
    const host = fc.constantFrom('host', 'a.b', 'git@host', 'u:p@host', '127.0.0.1:8080', '-x', '')
    const scheme = fc.constantFrom(
      'https://',
      'http://',
      'ssh://',
      'HTTPS://',
      '',
      'file://',
      'ext::',
    )
    const path = fc.oneof(fc.string(), fc.webPath())
    fc.assert(
      fc.property(scheme, host, fc.constantFrom('/', ':', ''), path, (...parts) => {
        const result = parseRepositoryUrl(parts.join(''))
        if (!result.ok) return
        const { url, name, protocol } = result.repository
        expect(url).not.toMatch(/^-|[\s\\]/)
        if (protocol !== 'ssh') expect(new URL(url).username + new URL(url).password).toBe('')
        expect(name).toMatch(/^[A-Za-z0-9_][A-Za-z0-9._-]*$/)
        expect(urlOf(url)).toBe(url)
      }),
      { numRuns: 2000 },
    )
  })

  it('never throws', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => void parseRepositoryUrl(text)))
  })
})
