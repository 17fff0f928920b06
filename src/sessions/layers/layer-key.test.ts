// Which sessions share a layer.
import { expect, it } from 'vitest'
import { environmentSchema } from '../../protocol/environment.ts'
import { type LayerIngredients, layerKey } from './layer-key.ts'

const environment = environmentSchema.parse({
  ...{
    id: `e_${'a'.repeat(20)}`,
    name: 'mine',
    setup: 'npm ci',
    setupInputs: ['a.lock', 'b.lock'],
  },
  variables: { A: '1', B: '2' },
})
const ingredients: LayerIngredients = {
  ...{ ownerId: 'ann', environment, reach: environment.image, image: 'debian-1' },
  files: [{ path: 'a.lock', data: 'QQ==' }],
}
const RULE = { host: 'a.b', methods: ['GET'], paths: [] }
const key = layerKey(ingredients)
const withEnvironment = (change: Partial<typeof environment>) =>
  layerKey({ ...ingredients, environment: { ...environment, ...change } })

it('depends on whose registries the script may reach', () => {
  const reach = { kind: 'named', name: 'mine' } as const
  expect(layerKey({ ...ingredients, reach })).not.toBe(key)
})

it('is the same whatever does not matter', () => {
  expect(withEnvironment({ name: 'renamed', variables: { B: '2', A: '1' } })).toBe(key)
  expect(withEnvironment({ setupInputs: ['b.lock', 'a.lock'] })).toBe(key)
  const { limits, network } = environment
  expect(withEnvironment({ limits: { ...limits, cpus: 8 } })).toBe(key)
  expect(withEnvironment({ network: { ...network, domains: ['unread.example'] } })).toBe(key)
})

it.each<[string, () => string]>([
  ['owner', () => layerKey({ ...ingredients, ownerId: 'bob' })],
  ['environment', () => withEnvironment({ id: `e_${'b'.repeat(20)}` })],
  ['image', () => layerKey({ ...ingredients, image: 'debian-2' })],
  ['script', () => withEnvironment({ setup: 'npm ci ' })],
  ['variable', () => withEnvironment({ variables: { A: '1', B: '3' } })],
  [
    'rule on requests',
    () => withEnvironment({ network: { ...environment.network, level: 'trusted', rules: [RULE] } }),
  ],
  ['network level', () => withEnvironment({ network: { ...environment.network, level: 'full' } })],
  [
    'network domain',
    () =>
      withEnvironment({ network: { ...environment.network, level: 'custom', domains: ['a.b'] } }),
  ],
  ['named input', () => withEnvironment({ setupInputs: ['a.lock'] })],
  ['content', () => layerKey({ ...ingredients, files: [{ path: 'a.lock', data: 'Qg==' }] })],
  ['path', () => layerKey({ ...ingredients, files: [{ path: 'b.lock', data: 'QQ==' }] })],
  ['absence', () => layerKey({ ...ingredients, files: [] })],
])('is another for another %s', (_what, other) => {
  expect(other()).not.toBe(key)
})
