import { expect, it } from 'vitest'
import type { Definition } from './definition.ts'
import { type Manifest, manifestSchema } from './manifest.ts'
import { pinnedKey, pinsOf, toolDifferences, versionsMissing } from './pins.ts'

const record = (kind: string, name: string, version: string) => ({
  ...{ kind, name, version, checksum: '' },
})
const manifest = (...packages: Manifest['packages']): Manifest =>
  manifestSchema.parse({
    ...{ name: 'small', version: '1', builtAt: '2026-01-02T03:04:05Z', suite: 'trixie', packages },
  })

it('holds apt to each version, pip to each that is there once, and npm to the day', () => {
  const pins = pinsOf(
    manifest(
      ...[record('apt', 'git', '1:2.47~rc1+dfsg-1'), record('npm', 'eslint', '10.0.0')],
      ...[record('pip', 'Typing_Extensions', '4.1'), record('pip', 'packaging', '25.0')],
      record('pip', 'packaging', '26.0'),
    ),
  )
  expect(pins).toEqual({
    preferences: 'Package: git\nPin: version 1:2.47~rc1+dfsg-1\nPin-Priority: 1001\n\n',
    constraints: 'typing-extensions==4.1\n',
    before: '2026-01-02T03:04:05Z',
  })
  expect(pinsOf(manifest())).toBeUndefined()
})

it('is another build with other pins', () => {
  const keys = [
    undefined,
    manifest(record('apt', 'a', '1')),
    manifest(record('apt', 'a', '2')),
  ].map((wanted) => pinnedKey('key', wanted && pinsOf(wanted)))
  expect(new Set(keys).size).toBe(3)
  expect(keys[0]).toBe('key')
  // What runs each time has no key.
  expect(pinnedKey('', pinsOf(manifest(record('apt', 'a', '1'))))).toBe('')
})

it('lists what the mirror does not offer any more', () => {
  const said = ` git | 1:2.48-1 | http://mirror.invalid trixie/main amd64 Packages
 git | 1:2.47-1 | http://mirror.invalid trixie-security/main amd64 Packages
 jq | 1.7 | http://mirror.invalid trixie/main amd64 Packages
 jq | 1.7 | http://mirror.invalid trixie/main Sources
`
  const wanted = [record('apt', 'git', '1:2.47-1'), record('apt', 'jq', '1.6')]
  expect(versionsMissing([...wanted, record('apt', 'gone', '1')], said)).toEqual([
    'apt jq is 1.7 (wanted 1.6)',
    'apt gone is missing (wanted 1)',
  ])
})

it('lists tools of the definition that the manifest has in another version', () => {
  const steps = [{ tools: { eslint: '10.1.0', node24: '24.1.0', uv: '1.0' } }, { tools: {} }]
  const definition = { steps } as unknown as Definition
  const wanted = manifest(
    ...[record('npm', 'eslint', '10.0.0'), record('pip', 'uv', '1.0'), record('pip', 'uv', '0.9')],
    record('apt', 'node24', '1'),
  )
  expect(toolDifferences(definition, wanted)).toEqual([
    'eslint is 10.1.0 in the definition (wanted 10.0.0)',
  ])
})
