import { expect, it } from 'vitest'
import { type Binding, bindingSchema } from '../../protocol/credential.ts'
import { placeholderOf, toBound, variablesFor } from './bound-credentials.ts'

const bound = (host: string, binding: Partial<Binding>) => {
  const kind = 'bearer' as const
  const at = { username: '', secret: 'very-secret', createdAt: '', lastUsedAt: null }
  const made = { id: `k_${host.length}`, host, kind, ...at, binding: bindingSchema.parse(binding) }
  return toBound(made, null) as NonNullable<ReturnType<typeof toBound>>
}

it('says to which host a token of gh belongs, and nothing of other tokens', () => {
  const forge = bound('git.example.com', { variable: 'GH_ENTERPRISE_TOKEN' })
  const other = bound('api.example.com', { variable: 'API_TOKEN' })
  const unnamed = bound('npm.example.com', {})
  expect(variablesFor([forge, other, unnamed])).toEqual({
    GH_ENTERPRISE_TOKEN: placeholderOf(forge),
    GH_HOST: 'git.example.com',
    API_TOKEN: placeholderOf(other),
  })
})

it('names no host where there is none that gh could be told', () => {
  for (const host of ['*.git.example.com', 'git.example.com:8443']) {
    const forge = bound(host, { variable: 'GITHUB_ENTERPRISE_TOKEN' })
    expect(variablesFor([forge])).toEqual({ GITHUB_ENTERPRISE_TOKEN: placeholderOf(forge) })
  }
  const several = bound('*.example.com', {
    ...{ variable: 'GITHUB_ENTERPRISE_TOKEN', otherHosts: ['git.example.com'] },
  })
  expect(variablesFor([several])).toMatchObject({ GH_HOST: 'git.example.com' })
})
