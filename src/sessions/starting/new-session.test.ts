import { expect, it } from 'vitest'
import { type Environment, environmentSchema } from '../../protocol/environment.ts'
import { exampleId } from './new-session.fixture.ts'
import { type NewSessionDeps, planSession } from './new-session.ts'

const NONE = { branchTemplate: null, identity: null }

const plan = async (git: Partial<Environment['git']>, defaults: NewSessionDeps['git'] = NONE) => {
  const environment = environmentSchema.parse({
    ...{ id: exampleId('environment', 1), name: 'E', git },
  })
  const deps = {
    environments: { ensureDefault: async () => environment },
    credentials: { find: async () => undefined },
    drivers: ['oci'],
    git: defaults,
  } as unknown as NewSessionDeps
  const source = { kind: 'remote' as const, url: 'https://git.example/r.git' }
  const asked = {
    ...{ prompt: 'Fix the login', kind: 'agent' as const, mode: 'work' as const, source },
    ...{ baseBranch: null, model: null, additional: [] },
  } as const
  const request = { asked, now: new Date('2030-01-31T23:59:00Z'), random: () => new Uint8Array(20) }
  return planSession(deps, { id: 'ann', name: 'Ann Example' }, request)
}

it('names the branch by the template of the environment', async () => {
  expect((await plan({})).repository.branch).toBe('errand/fix-the-login')
  const branchTemplate = '{user}/{date}/{slug}-{id}'
  expect((await plan({ branchTemplate })).repository.branch).toBe(
    'ann-example/2030-01-31/fix-the-login-aaaaa',
  )
})

it('takes the branch and the identity of the installation where the environment says nothing else', async () => {
  const ann = { name: 'Ann', email: 'ann@example.com' }
  const bob = { name: 'Bob', email: 'bob@example.com' }
  const installation = { branchTemplate: 'agents/{slug}', identity: ann }
  const asIs = await plan({}, installation)
  expect(asIs.repository.branch).toBe('agents/fix-the-login')
  expect(asIs.environment.git.identity).toEqual(ann)
  const own = await plan({ branchTemplate: '{slug}/own', identity: bob }, installation)
  expect(own.repository.branch).toBe('fix-the-login/own')
  expect(own.environment.git.identity).toEqual(bob)
})
