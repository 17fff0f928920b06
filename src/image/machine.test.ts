import { describe, expect, it } from 'vitest'
import { debianSources, onlySettings } from './machine.ts'

describe('sources of apt', () => {
  const release = { codename: 'old', suite: 'new' }

  it('are those that this machine has of Debian, for the other release', () => {
    const lines = [
      'http://mirror.example/debian/ old main',
      'http://mirror.example/debian/ old contrib',
      'http://mirror.example/debian/ old-updates main',
      'http://mirror.example/security/ old-security main',
      'http://mirror.example/debian/ old-backports main',
      'https://other.example/ nodistro main',
    ].join('\n')
    const found = debianSources(lines, release)
    expect(found.replace(/ \[[^\]]*\]/g, '').split('\n')).toEqual([
      'deb http://mirror.example/debian/ new main',
      'deb http://mirror.example/debian/ new-updates main',
      'deb http://mirror.example/security/ new-security main',
      '',
    ])
    expect(found).toContain('signed-by=')
  })

  it('are none where the release itself is not there, so that mmdebstrap takes its own', () => {
    expect(debianSources('http://mirror.example/ old-security main', release)).toBe('')
    expect(debianSources('', release)).toBe('')
  })
})

describe('settings of package managers', () => {
  it('come along when they name registries, and nothing else does', () => {
    const npmrc = 'audit = false\nregistry = https://a.example/\n@b:registry = https://b.example/\n'
    expect(onlySettings(`${npmrc}${npmrc}`, /^(?:@[^:]+:)?registry\s*=/)).toBe(
      'registry = https://a.example/\n@b:registry = https://b.example/\n',
    )
  })
})
