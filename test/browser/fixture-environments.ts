// Environments for the page's tests, kept and changed as the server would.
import type { EnvironmentDefaults } from '../../src/protocol/api.ts'
import { bindingSchema, type Credential } from '../../src/protocol/credential.ts'
import { parseEnvText } from '../../src/protocol/env-text.ts'
import { type Environment, environmentSchema } from '../../src/protocol/environment.ts'
import {
  type InstallationNetwork,
  installationNetworkPatchSchema,
  installationNetworkSchema,
  patchInstallationNetwork,
} from '../../src/protocol/installation-network.ts'
import { DEFAULT_ENVIRONMENT } from './fixture-sessions.ts'

export interface FixtureEnvironments {
  network: InstallationNetwork
  list: Environment[]
  defaults: EnvironmentDefaults
}

export const SHOP: Environment = environmentSchema.parse({
  ...{
    id: `e_${'b'.repeat(20)}`,
    name: 'Shop',
    setup: 'npm ci',
    setupInputs: ['package-lock.json'],
  },
  network: {
    ...{ level: 'custom', domains: ['api.example.com', '*.example.org'], includeTrusted: true },
    rules: [{ host: 'forge.example.com', methods: ['GET'], paths: ['/v1/*'] }],
  },
  variables: { NODE_ENV: 'test', GREETING: 'two words' },
})

export function createEnvironments(): FixtureEnvironments {
  return {
    network: installationNetworkSchema.parse({ deny: ['*.evil.example'] }),
    list: [DEFAULT_ENVIRONMENT, SHOP],
    defaults: {
      environment: DEFAULT_ENVIRONMENT.id,
      repositories: [{ repository: 'https://git.example.com/shop/cart.git', environment: SHOP.id }],
    },
  }
}

/** Undefined: none of its routes. */
export function answerEnvironments(
  fixture: FixtureEnvironments,
  { method, path, body }: { method: string; path: string; body: unknown },
): unknown {
  const [, collection, id = '', action = ''] = path.split('/')
  if (collection === 'environment-defaults') {
    const { repository, environment } = (body ?? {}) as Record<string, string | null>
    if (method === 'PATCH' && !repository && environment) fixture.defaults.environment = environment
    return fixture.defaults
  }
  if (collection === 'credentials') {
    if (method === 'GET') return { credentials: [REGISTRY] }
    return method === 'POST' ? credential(body as Record<string, string>) : undefined
  }
  if (path === '/installation/network') return setNetwork(fixture, body)
  if (collection !== 'environments') return undefined
  if (method === 'GET') return { environments: fixture.list }
  const current = fixture.list.find((one) => one.id === id)
  if (action === 'archive') {
    fixture.list = fixture.list.filter((one) => one !== current)
    return current && { ...current, archivedAt: new Date().toISOString() }
  }
  return { ...save(fixture, { current, isCopy: action === 'duplicate', body }), hints: [] }
}

function setNetwork(fixture: FixtureEnvironments, body: unknown): InstallationNetwork {
  const patch = installationNetworkPatchSchema.parse(body ?? {})
  fixture.network = patchInstallationNetwork(fixture.network, patch)
  return fixture.network
}

function save(
  fixture: FixtureEnvironments,
  asked: { current: Environment | undefined; isCopy: boolean; body: unknown },
): Environment {
  const { variablesText, ...fields } = asked.body as { variablesText?: string }
  const parsed = parseEnvText(variablesText ?? '')
  const isNew = asked.isCopy || !asked.current
  const saved = environmentSchema.parse({
    ...asked.current,
    ...fields,
    ...(variablesText !== undefined && parsed.ok ? { variables: parsed.variables } : {}),
    ...(isNew ? { id: `e_${'cdefgh'.charAt(fixture.list.length).repeat(20)}` } : {}),
    ...(asked.isCopy ? { name: `${asked.current?.name} copy` } : {}),
  })
  fixture.list = isNew
    ? [...fixture.list, saved]
    : fixture.list.map((one) => (one === asked.current ? saved : one))
  return saved
}

const REGISTRY: Credential = {
  ...{ id: `c_${'r'.repeat(20)}`, host: 'npm.example.com', kind: 'bearer', username: '' },
  ...{ createdAt: new Date(0).toISOString(), lastUsedAt: null },
  binding: bindingSchema.parse({ otherHosts: ['files.example.com'], variable: 'NPM_TOKEN' }),
}

function credential({ host = '', kind = 'https', username = '' }: Record<string, string>) {
  return { id: `c_${'a'.repeat(20)}`, host, kind, username, createdAt: new Date().toISOString() }
}
