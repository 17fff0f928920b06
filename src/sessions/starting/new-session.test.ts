import { expect, it } from 'vitest'
import { type Environment, environmentSchema } from '../../protocol/environment.ts'
import { exampleId } from './new-session.fixture.ts'
import { type NewSessionDeps, planSession } from './new-session.ts'

const plan = async (git: Partial<Environment['git']>) => {
  const environment = environmentSchema.parse({
    ...{ id: exampleId('environment', 1), name: 'E', git },
  })
  const deps = {
    environments: { ensureDefault: async () => environment },
    credentials: { find: async () => undefined },
    drivers: ['oci'],
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
