import { describe, expect, it } from 'vitest'
import { differences, type Manifest, parseRecords, refuseDifferences } from './manifest.ts'

const record = (name: string, version: string, checksum = 'sha256:1') => ({
  ...{ kind: 'apt', name, version, checksum },
})

describe('records of steps', () => {
  it('are lines of kind, name, version and checksum; a broken line is none', () => {
    expect(parseRecords('apt\tgit\t1:2.47\tsha256:ab\ngo\tgo\t1.27.4\nhalf a line\n\n')).toEqual([
      { kind: 'apt', name: 'git', version: '1:2.47', checksum: 'sha256:ab' },
      { kind: 'go', name: 'go', version: '1.27.4', checksum: '' },
    ])
  })
})

describe('differences', () => {
  it('are none for the same set in another order', () => {
    const [a, b] = [record('a', '1'), record('b', '2')]
    expect(differences([a, b], [b, a])).toEqual([])
  })

  it('name each package that is missing, new, of another version or another checksum', () => {
    const wanted = [record('gone', '1'), record('newer', '1'), record('other', '1')]
    const found = [record('newer', '2'), record('other', '1', 'sha256:2'), record('added', '3')]
    expect(differences(wanted, found)).toEqual([
      'apt added 3 sha256:1 is not in the manifest',
      'apt gone is missing (wanted 1 sha256:1)',
      'apt newer is 2 sha256:1 (wanted 1 sha256:1)',
      'apt other is 1 sha256:2 (wanted 1 sha256:1)',
    ])
  })

  it('tell two versions of one package apart from one', () => {
    const both = [record('a', '1'), record('a', '2')]
    expect(differences(both, [record('a', '2')])).toHaveLength(1)
  })

  it('refuse the build, with the list', () => {
    const wanted = { packages: [record('a', '1')] } as Manifest
    expect(() => refuseDifferences(wanted, [record('a', '2')])).toThrow(/apt a is 2/)
    expect(() => refuseDifferences(wanted, [record('a', '1')])).not.toThrow()
  })
})
