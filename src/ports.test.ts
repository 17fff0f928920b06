// What gitd is asked for when kept commits are pushed outward again.
import { expect, it } from 'vitest'
import type { GitClient } from './git/client.ts'
import { createRepositoryPort } from './ports.ts'
import { type AdditionalState, NO_GRANTS, type SessionState } from './protocol/session.ts'

it('replaces what is outside only in the repository that this was granted of', async () => {
  const asked: unknown[] = []
  const git: Partial<GitClient> = {
    forward: async ({ repository, rewrite }) => {
      asked.push([repository, rewrite])
      return { outward: 'forwarded', commit: 'c', reason: null, message: '' }
    },
  }
  const beside = (name: string, rewrite: boolean) =>
    ({ name, access: 'write', pushGrants: { branches: [], rewrite } }) as unknown as AdditionalState
  const state = {
    ...{ id: 's', ownerId: 'ann', repository: {}, pushGrants: NO_GRANTS },
    environment: { git: { rewrite: false } },
    additional: [beside('lib', true), beside('api', false)],
  } as unknown as SessionState
  const { forward } = createRepositoryPort(git as GitClient, async () => undefined)
  const { signal } = new AbortController()
  for (const repository of [undefined, 'lib', 'api']) await forward({ state, repository }, signal)
  const pushGrants = { ...NO_GRANTS, rewrite: true }
  await forward({ state: { ...state, pushGrants }, repository: undefined }, signal)
  expect(asked).toEqual([
    [undefined, false],
    ['lib', true],
    ['api', false],
    [undefined, true],
  ])
})
