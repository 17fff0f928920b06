// Environments of the signed-in user: saved, copied, archived, and which one a session gets that names none.
import { z } from 'zod'
import {
  environmentCopySchema,
  environmentDefaultSchema,
  environmentDefaultsSchema,
  environmentListQuerySchema,
  environmentListSchema,
  environmentPatchSchema,
  environmentSavedSchema,
  newEnvironmentSchema,
  rebuiltSchema,
  type User,
} from '../../protocol/api.ts'
import { parseEnvText } from '../../protocol/env-text.ts'
import {
  type Environment,
  environmentFieldsSchema,
  environmentSchema,
  type Image,
} from '../../protocol/environment.ts'
import { AppError } from '../../protocol/errors.ts'
import { environmentIdSchema } from '../../protocol/ids.ts'
import { findSecretHints } from '../../protocol/secret-hints.ts'
import { publicRepositoryUrl } from '../../sessions/starting/new-session.ts'
import { isUnreadableEnvironment } from '../../store/environments.ts'
import type { HttpDeps } from '../deps.ts'
import { type Api, addRoute } from '../route.ts'

const tag = 'Environments'
const params = z.object({ id: environmentIdSchema })
const MOST_COPIES = 1000
/** As JSON; a sandbox is told them in a file of 64 KiB, with little else in it. */
const MOST_VARIABLES_BYTES = 60 << 10

export function addEnvironmentRoutes(api: Api, deps: HttpDeps): void {
  addReading(api, deps)
  addSaving(api, deps)
  addDefaults(api, deps)
  addArchiving(api, deps)
}

function addReading(api: Api, { owned: { environments } }: HttpDeps): void {
  addRoute(
    api,
    {
      ...{ method: 'get', path: '/environments', summary: 'List environments', tag },
      ...{ query: environmentListQuerySchema, answer: environmentListSchema },
    },
    async ({ user, query }) => {
      await environments.ensureDefault(user.id).catch((error: unknown) => {
        if (!isUnreadableEnvironment(error)) throw error
      })
      return {
        environments: await environments.list(user.id, { includeArchived: query.archived }),
      }
    },
  )
}

function addSaving(api: Api, { owned: { environments } }: HttpDeps): void {
  addRoute(
    api,
    {
      ...{ method: 'post', path: '/environments', summary: 'Make an environment', tag },
      ...{ body: newEnvironmentSchema, answer: environmentSavedSchema, status: 201 },
    },
    async ({ user, body }) => {
      checkImage(user, body.image)
      const fields = environmentFieldsSchema.parse({ ...body, ...variablesOf(body) })
      return withHints(await environments.create(user.id, fields))
    },
  )
  addRoute(
    api,
    {
      ...{ method: 'patch', path: '/environments/{id}', tag },
      summary: 'Change it; sessions keep what they started with',
      ...{ params, body: environmentPatchSchema, answer: environmentSavedSchema },
    },
    async ({ user, params: { id }, body }) => {
      if (body.image) checkImage(user, body.image)
      const named = { ...body, ...variablesOf(body) }
      return withHints(
        await environments.update(user.id, id, (saved) =>
          environmentFieldsSchema.parse({ ...saved, ...named }),
        ),
      )
    },
  )
  addRoute(
    api,
    {
      ...{ method: 'post', path: '/environments/{id}/duplicate', summary: 'Copy it', tag },
      ...{ params, body: environmentCopySchema, answer: environmentSavedSchema, status: 201 },
    },
    async ({ user, params: { id }, body }) => {
      const current = await ownEnvironment(environments, user, id)
      checkImage(user, current.image)
      const taken = (await environments.list(user.id)).map(({ name }) => name)
      const name = body.name ?? nameOfCopy(current.name, taken)
      const fields = environmentFieldsSchema.parse({ ...current, name })
      return withHints(await environments.create(user.id, fields))
    },
  )
}

function addDefaults(api: Api, { owned: { environments } }: HttpDeps): void {
  addRoute(
    api,
    {
      ...{ method: 'get', path: '/environment-defaults', tag },
      summary: 'Which environment a session gets that names none',
      answer: environmentDefaultsSchema,
    },
    async ({ user }) => environments.defaults(user.id),
  )
  addRoute(
    api,
    {
      ...{ method: 'patch', path: '/environment-defaults', tag },
      summary: 'Choose it, for one repository or for all others',
      ...{ body: environmentDefaultSchema, answer: environmentDefaultsSchema },
    },
    async ({ user, body }) => {
      const { repository, environment } = body
      const url = repository === null ? null : publicRepositoryUrl(repository)
      await environments.setDefault(user.id, { repository: url, environment })
      return environments.defaults(user.id)
    },
  )
}

function addArchiving(api: Api, { owned: { environments, layers } }: HttpDeps): void {
  addRoute(
    api,
    {
      ...{ method: 'post', path: '/environments/{id}/archive', tag },
      summary: 'Archive it: nothing new starts with it, what runs goes on',
      ...{ params, answer: environmentSchema },
    },
    async ({ user, params: { id } }) => environments.archive(user.id, id),
  )
  addRoute(
    api,
    {
      ...{ method: 'post', path: '/environments/{id}/rebuild', tag },
      summary: 'Let the next session run its setup script again',
      ...{ params, answer: rebuiltSchema },
    },
    async ({ user, params: { id } }) => {
      await ownEnvironment(environments, user, id)
      return { layers: await layers.markStale({ ownerId: user.id, environmentId: id }) }
    },
  )
}

async function ownEnvironment(
  environments: HttpDeps['owned']['environments'],
  user: User,
  id: string,
): Promise<Environment> {
  const current = await environments.get(user.id, id)
  if (current) return current
  throw new AppError('not_found', 'environment_not_found', 'there is no such environment')
}

/** What was written as text replaces what was given by name; nothing when there was no text. */
function variablesOf({
  variables,
  variablesText,
}: {
  variables?: Environment['variables'] | undefined
  variablesText?: string | undefined
}) {
  if (variablesText === undefined) return variables ? { variables: checked(variables) } : {}
  const parsed = parseEnvText(variablesText)
  if (parsed.ok) return { variables: checked(parsed.variables) }
  const { line, message } = parsed.error
  throw new AppError('invalid', 'variables_invalid', `line ${line} of the variables: ${message}`)
}

function checked(variables: Environment['variables']) {
  const bytes = Buffer.byteLength(JSON.stringify(variables))
  if (bytes <= MOST_VARIABLES_BYTES) return variables
  const most = `${MOST_VARIABLES_BYTES >> 10} KiB`
  const message = `the variables of an environment have at most ${most} together, as JSON: put what is larger into files`
  throw new AppError('too_large', 'variables_too_large', message)
}

function withHints(environment: Environment) {
  return { ...environment, hints: findSecretHints(environment.variables) }
}

/** Cut so that it is never too long: names have at most 80 characters. */
function nameOfCopy(name: string, taken: readonly string[]): string {
  for (let count = 1; count <= MOST_COPIES; count++) {
    const end = count === 1 ? ' copy' : ` copy ${count}`
    const copy = `${name.slice(0, 80 - end.length)}${end}`
    if (!taken.includes(copy)) return copy
  }
  throw new AppError(
    'conflict',
    'environment_name_taken',
    'there are too many copies: name this one',
  )
}

/** A folder of the host becomes readable inside: not for everybody to choose. */
function checkImage(user: User, image: Image): void {
  if (image.kind !== 'rootfs' || user.role === 'owner') return
  const message = 'only the owner of this installation may name a folder of the host as an image'
  throw new AppError('forbidden', 'owner_only', message)
}
