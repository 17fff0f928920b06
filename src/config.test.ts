import { expect, it } from 'vitest'
import { readConfig } from './config.ts'

const git = (env: Record<string, string>) => readConfig({}, env).git

it('takes the branches and the identity of the installation from its variables', () => {
  expect(git({})).toEqual({ branchTemplate: null, identity: null })
  expect(
    git({
      ERRAND_BRANCH_TEMPLATE: 'agents/{user}/{slug}',
      ERRAND_GIT_IDENTITY: ' Ann Example <ann@example.com> ',
    }),
  ).toEqual({
    branchTemplate: 'agents/{user}/{slug}',
    identity: { name: 'Ann Example', email: 'ann@example.com' },
  })
})

it('says how to write them when they cannot be used', () => {
  for (const template of ['agents..{slug}', '-x', 'a b/{slug}'])
    expect(() => git({ ERRAND_BRANCH_TEMPLATE: template }), template).toThrow('errand/{slug}')
  for (const person of ['Ann', 'ann@example.com', '<ann@example.com>', 'Ann <>', 'A\nB <a@b>'])
    expect(() => git({ ERRAND_GIT_IDENTITY: person }), person).toThrow('Ann Example <')
})
