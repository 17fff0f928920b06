// Environments of the signed-in user.
import { z } from 'zod'
import {
  environmentListQuerySchema,
  environmentListSchema,
  environmentPatchSchema,
  newEnvironmentSchema,
  type User,
} from '../protocol/api.ts'
import { environmentFieldsSchema, environmentSchema, type Image } from '../protocol/environment.ts'
import { AppError } from '../protocol/errors.ts'
import { environmentIdSchema } from '../protocol/ids.ts'
import type { HttpDeps } from './deps.ts'
import { type Api, addRoute } from './route.ts'

const tag = 'Environments'
const params = z.object({ id: environmentIdSchema })

export function addEnvironmentRoutes(api: Api, { owned: { environments } }: HttpDeps): void {
  addRoute(
    api,
    {
      ...{ method: 'get', path: '/environments', summary: 'List environments', tag },
      ...{ query: environmentListQuerySchema, answer: environmentListSchema },
    },
    async ({ user, query }) => {
      await environments.ensureDefault(user.id)
      return {
        environments: await environments.list(user.id, { includeArchived: query.archived }),
      }
    },
  )
  addRoute(
    api,
    {
      ...{ method: 'post', path: '/environments', summary: 'Make an environment', tag },
      ...{ body: newEnvironmentSchema, answer: environmentSchema, status: 201 },
    },
    async ({ user, body }) => {
      checkImage(user, body.image)
      return environments.create(user.id, body)
    },
  )
  addRoute(
    api,
    {
      ...{ method: 'patch', path: '/environments/{id}', tag },
      summary: 'Change it; sessions keep what they started with',
      ...{ params, body: environmentPatchSchema, answer: environmentSchema },
    },
    async ({ user, params: { id }, body }) => {
      if (body.image) checkImage(user, body.image)
      const current = await environments.get(user.id, id)
      if (!current) {
        throw new AppError('not_found', 'environment_not_found', 'there is no such environment')
      }
      return environments.update(
        user.id,
        id,
        environmentFieldsSchema.parse({ ...current, ...body }),
      )
    },
  )
  addRoute(
    api,
    {
      ...{ method: 'post', path: '/environments/{id}/archive', summary: 'Archive it', tag },
      ...{ params, answer: environmentSchema },
    },
    async ({ user, params: { id } }) => environments.archive(user.id, id),
  )
}

/** A folder of the host becomes readable inside: not for everybody to choose. */
function checkImage(user: User, image: Image): void {
  if (image.kind !== 'rootfs' || user.role === 'owner') return
  const message = 'only the owner of this installation may name a folder of the host as an image'
  throw new AppError('forbidden', 'owner_only', message)
}
