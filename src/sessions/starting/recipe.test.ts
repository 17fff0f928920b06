// What a sandbox is made from when both the owner and the repository say something.
import { expect, it } from 'vitest'
import { environmentFileSchema, environmentSchema } from '../../protocol/environment.ts'
import { isSameSandbox, recipeOf } from './recipe.ts'

const environment = (fields: object = {}) =>
  environmentSchema.parse({ id: `e_${'a'.repeat(20)}`, name: 'Default', ...fields })
const file = (fields: object) =>
  environmentFileSchema.parse({
    ...{ variables: {}, setup: '', setupInputs: [], network: null, notices: [], ...fields },
  })
const universal = { kind: 'named' as const, name: 'universal' }

it('is the environment alone where the repository asks for nothing', () => {
  const given = environment({ variables: { A: '1' } })
  const recipe = recipeOf({ environment: given, environmentFile: null })
  expect(recipe).toEqual({ environment: given, setup: null, reach: given.image })
  const asked = file({ variables: { B: '2' }, network: { level: 'full' } })
  expect(recipeOf({ environment: given, environmentFile: asked })).toEqual(recipe)
})

it('runs the script of the repository with its inputs and variables, below those of the owner', () => {
  const given = environment({ variables: { A: 'ours' }, network: { level: 'none' } })
  const theirs = { setup: 'make', setupInputs: ['a.lock'], variables: { A: 'theirs', B: 'theirs' } }
  const asked = file({ ...theirs, network: { level: 'full' } })
  const { environment: session, setup } = recipeOf({ environment: given, environmentFile: asked })
  expect(session).toEqual(given)
  expect(setup).toEqual({
    ...{ ...given, setup: 'make', setupInputs: ['a.lock'] },
    variables: { A: 'ours', B: 'theirs' },
  })
})

it('runs the script of the owner as if the repository said nothing but its image', () => {
  const given = environment({ setup: 'ours', setupInputs: ['ours.lock'] })
  const theirs = { setup: 'theirs', setupInputs: ['theirs.lock'], variables: { B: 'theirs' } }
  const asked = file({ ...theirs, image: universal })
  const { setup, reach } = recipeOf({ environment: given, environmentFile: asked })
  expect(setup).toEqual({ ...given, image: universal })
  expect(reach).toEqual({ kind: 'host' })
})

it('is another sandbox with another image or script only', () => {
  const given = environment()
  const plain = recipeOf({ environment: given, environmentFile: null })
  const isSame = (fields: object) =>
    isSameSandbox(plain, recipeOf({ environment: given, environmentFile: file(fields) }))
  expect(isSame({ variables: { A: '1' }, network: { level: 'full' }, setupInputs: ['a'] })).toBe(
    true,
  )
  expect(isSame({ setup: ' \n' })).toBe(true)
  expect(isSame({ setup: 'make' })).toBe(false)
  expect(isSame({ image: universal })).toBe(false)
})
