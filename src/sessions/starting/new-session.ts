// From what a person asks for to the command that makes a session: finds the environment, takes the repository address
// apart, seals a password that stood in it, and names the branch. Everything of it belongs to the asking owner.
import type { z } from 'zod'
import { credentialKind, parseRepositoryUrl } from '../../git/upstream/repository-url.ts'
import type { newSessionSchema } from '../../protocol/api.ts'
import { fillBranchTemplate } from '../../protocol/branch-name.ts'
import type { UserCommand } from '../../protocol/command.ts'
import type { Environment } from '../../protocol/environment.ts'
import { AppError } from '../../protocol/errors.ts'
import { doorUrl } from '../../protocol/git-door.ts'
import { createId } from '../../protocol/ids.ts'
import type { AdditionalRepository, Repository, Source } from '../../protocol/session.ts'
import type { CredentialStore } from '../../store/credentials.ts'
import type { EnvironmentStore } from '../../store/environments.ts'
import type { SessionDirectory } from '../../store/sessions.ts'
import type { UploadStore } from '../../store/uploads.ts'
import { type GitDefaults, withGitDefaults } from './git-defaults.ts'
import { nameAdditional } from './repository-names.ts'
import { slugOf, titleOf } from './titles.ts'

export interface NewSessionDeps {
  environments: EnvironmentStore
  credentials: CredentialStore
  uploads: UploadStore
  directory: SessionDirectory
  drivers: readonly string[]
  git: GitDefaults
}

type Asked = z.infer<typeof newSessionSchema>
export type CreateCommand = Extract<UserCommand, { type: 'session.create' }>

const BRANCH_SUFFIX_LENGTH = 5

interface PlanRequest {
  asked: Asked
  now: Date
  random: () => Uint8Array
}

/** A password that stood in an address does not stay where the session is refused after all. */
export async function planSession(
  deps: NewSessionDeps,
  owner: { id: string; name: string },
  request: PlanRequest,
): Promise<CreateCommand> {
  const kept: string[] = []
  const create: CredentialStore['create'] = async (credential) => {
    const made = await deps.credentials.create(credential)
    kept.push(made.id)
    return made
  }
  try {
    const credentials = { ...deps.credentials, create }
    return await plan({ ...deps, credentials }, owner, request)
  } catch (error) {
    for (const id of kept) await deps.credentials.removeUnshared(owner.id, id)
    throw error
  }
}

async function plan(
  deps: NewSessionDeps,
  owner: { id: string; name: string },
  request: PlanRequest,
): Promise<CreateCommand> {
  const { asked, now, random } = request
  const driver = asked.driver ?? deps.drivers[0] ?? ''
  if (!deps.drivers.includes(driver)) {
    const known = deps.drivers.join(', ')
    throw new AppError(
      'invalid',
      'driver_unknown',
      `There is no sandbox driver "${driver}". Known: ${known}.`,
    )
  }
  const title = asked.title ?? titleOf(asked.prompt)
  const { source, name, url: known } = await findSource(deps, owner.id, asked.source)
  const url = known ?? doorUrl()
  const environment = await findEnvironment(deps, owner.id, { asked, url })
  const branch = fillBranchTemplate(environment.git.branchTemplate, {
    ...{ slug: slugOf(title), id: suffix(random()) },
    ...{ user: slugOf(owner.name), date: now.toISOString().slice(0, 10) },
  })
  const repository: Repository = {
    ...{ source, name, url, branch },
    ...{ baseBranch: asked.baseBranch, commit: null },
  }
  const additional = await findAdditional(deps, owner.id, { asked, main: repository })
  return {
    type: 'session.create',
    ownerId: owner.id,
    title,
    repository,
    ...(additional.length > 0 ? { additional } : {}),
    environment,
    driver,
    mode: asked.mode,
    model: asked.model,
    turnId: asked.turnId ?? createId('turn', random()),
    kind: asked.kind,
    text: asked.prompt,
  }
}

async function findEnvironment(
  deps: NewSessionDeps,
  ownerId: string,
  { asked, url }: { asked: Asked; url: string },
): Promise<Environment> {
  const environment = asked.environment
    ? await deps.environments.find(ownerId, asked.environment)
    : await deps.environments.ensureDefault(ownerId, url)
  if (!environment || environment.archivedAt !== null) {
    const message = `There is no environment "${asked.environment}".`
    throw new AppError('not_found', 'environment_not_found', message)
  }
  const git = withGitDefaults(environment.git, deps.git)
  return { ...environment, git, network: asked.network ?? environment.network }
}

/** All have the session's branch; what each is called is told from the others. */
async function findAdditional(
  deps: NewSessionDeps,
  ownerId: string,
  { asked, main }: { asked: Asked; main: Repository },
): Promise<AdditionalRepository[]> {
  const found: AdditionalRepository[] = []
  for (const { source: from, baseBranch, access } of asked.additional) {
    const { source, name: wish, url: known } = await findSource(deps, ownerId, from)
    const before = [main, ...found]
    const name = nameAdditional(wish, before)
    const url = known ?? doorUrl(name)
    if (before.some((one) => one.url === url)) throw twice(url)
    const { branch } = main
    found.push({ source, name, url, baseBranch, commit: null, branch, access })
  }
  return found
}

/** Inside, git tells repositories by their URL. */
function twice(url: string): AppError {
  const message = `The repository ${url} is in the list twice: a session has it once.`
  return new AppError('invalid', 'repository_twice', message)
}

interface FoundSource {
  source: Source
  name: string
  /** Undefined for what has no address: a repository on a disk without an origin. */
  url: string | undefined
}

async function findSource(
  deps: NewSessionDeps,
  ownerId: string,
  asked: Asked['source'],
): Promise<FoundSource> {
  switch (asked.kind) {
    case 'remote':
      return findRemote(deps, ownerId, asked.url)
    case 'upload': {
      const upload = await deps.uploads.get(ownerId, asked.uploadId)
      if (!upload) throw new AppError('not_found', 'upload_not_found', 'There is no such upload.')
      const { uploadId, origin } = asked
      const { name } = upload
      return { source: { kind: 'upload', uploadId, name, origin }, name, url: publicOrigin(origin) }
    }
    case 'session': {
      const session = await deps.directory.get(asked.sessionId)
      if (!session || session.ownerId !== ownerId) {
        throw new AppError(
          'not_found',
          'session_not_found',
          'There is no such session to start from.',
        )
      }
      const { name, url } = session.repository
      const known = url === doorUrl() ? undefined : url
      return { source: { kind: 'session', sessionId: session.id }, name, url: known }
    }
  }
}

async function findRemote(
  deps: NewSessionDeps,
  ownerId: string,
  text: string,
): Promise<FoundSource> {
  const parsed = parseRepositoryUrl(text)
  if (!parsed.ok) throw new AppError('invalid', parsed.reason, parsed.message)
  const { url, name, host, protocol, credential } = parsed.repository
  const kind = credentialKind(protocol)
  const kept = credential
    ? await deps.credentials.create({
        ownerId,
        host,
        kind,
        username: credential.username ?? '',
        secret: credential.secret,
        isShared: false,
      })
    : await deps.credentials.find(ownerId, { host, kind })
  return { source: { kind: 'remote', url, credentialId: kept?.id ?? null }, name, url }
}

/** The address without a credential, as sessions keep it and as a default environment is chosen by. */
export function publicRepositoryUrl(text: string): string {
  const parsed = parseRepositoryUrl(text)
  if (!parsed.ok) throw new AppError('invalid', parsed.reason, parsed.message)
  return parsed.repository.url
}

/** The origin as it may be shown inside: never with a password, and nothing that git would run. */
function publicOrigin(origin: string | null): string | undefined {
  const parsed = origin === null ? undefined : parseRepositoryUrl(origin)
  return parsed?.ok ? parsed.repository.url : undefined
}

function suffix(random: Uint8Array): string {
  return createId('turn', random).slice(2, 2 + BRANCH_SUFFIX_LENGTH)
}
