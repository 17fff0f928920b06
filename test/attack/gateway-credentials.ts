// Credentials of the owner whose session attacks: those for APIs, bound to one environment, and the one for a git host, which
// submodules are read with. They are found and lent by the functions of the programs; only the store is of the suite.
import type { OwnPathsAt } from '../../src/egress/rules/own-paths.ts'
import { createCredentialWatch, type SessionCredentials } from '../../src/gateway/credentials.ts'
import { createOwnRepositories } from '../../src/gateway/own-repositories.ts'
import { createSubmodules, type SubmoduleState } from '../../src/gateway/submodules.ts'
import { createSilentLogger } from '../../src/lib/logger.ts'
import { bindingSchema } from '../../src/protocol/credential.ts'
import { AppError } from '../../src/protocol/errors.ts'
import { exampleId } from '../../src/sessions/starting/new-session.fixture.ts'
import type { OpenCredential } from '../../src/store/credentials.ts'
import { API_CREDENTIAL } from './own-network.ts'

const OWNER = 'ann'
const ENVIRONMENT = exampleId('environment', 1)
const OTHER_ENVIRONMENT = exampleId('environment', 2)
const FORGE = 'forge.example'

export interface LendingPlace {
  sessionId: string
  port: number
  secret: string
}

/** There are some, of the session's environment or of another one; none unless told. */
export async function lendCredentials(
  place: LendingPlace,
  whose: 'own' | 'other' | undefined,
): Promise<SessionCredentials> {
  const watch = createCredentialWatch({
    store: {
      openAll: async () => (whose === undefined ? [] : apiCredentials(place)),
      noteUse: async () => undefined,
    },
    notifications: { onCredentials: () => () => undefined, onReconnect: () => () => undefined },
    modelHost: null,
    modelSecrets: () => [],
    onChange: () => undefined,
    logger: createSilentLogger(),
  })
  await watch.follow(OWNER)
  return watch.get(OWNER, whose === 'other' ? OTHER_ENVIRONMENT : ENVIRONMENT)
}

/** One for a part of a host, also by plain HTTP, and one for TLS alone. */
function apiCredentials({ port, secret }: LendingPlace): OpenCredential[] {
  const stored = (id: string, host: string, binding: object): OpenCredential => ({
    ...{ id, ownerId: OWNER, host: `${host}:${port}`, kind: 'bearer', username: '', secret },
    ...{ createdAt: '2026-01-01', lastUsedAt: null },
    binding: bindingSchema.parse({ environmentId: ENVIRONMENT, ...binding }),
  })
  return [
    stored(API_CREDENTIAL.id, 'allowed.example', { paths: ['/api'], allowHttp: true }),
    stored(`c_${'b'.repeat(20)}`, 'ruled.example', {}),
  ]
}

/** The repositories that `.gitmodules` names; one that is read says with which secret. */
export function submodulePaths(
  { sessionId, secret }: LendingPlace,
  { urls, anyHost }: { urls: string[]; anyHost: boolean },
): OwnPathsAt {
  const credential = { id: `c_${'c'.repeat(20)}`, ownerId: OWNER, host: FORGE, username: 'u' }
  const submodules = createSubmodules({
    git: {
      submodules: async () => ({ submodules: urls.map((url) => ({ url, commit: null })) }),
    },
    credentials: {
      find: async (_owner, { host }) =>
        host === FORGE || anyHost
          ? { ...credential, kind: 'https', createdAt: '', lastUsedAt: null, binding: null }
          : undefined,
      openSecret: async () => secret,
    },
    allows: () => true,
    onProblem: (_session, error) => process.stderr.write(`${String(error)}\n`),
  })
  const source = { kind: 'remote' as const, url: '', credentialId: null }
  const repository = { source, url: `https://${FORGE}/team/shop.git`, commit: 'a'.repeat(40) }
  return createOwnRepositories({
    stateOf: () =>
      ({ id: sessionId, ownerId: OWNER, repository, additional: [] }) as unknown as SubmoduleState,
    submodules,
    git: () => {
      throw new AppError('not_found', 'repository_not_found', 'There is none here.')
    },
    readSubmodule:
      (submodule) =>
      async ({ response }) =>
        void response.end(`read with ${(await submodule.credential())?.secret ?? 'nothing'}`),
  })
}
