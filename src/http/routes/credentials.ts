// Credentials for git hosts and APIs. A secret comes in once and is never shown again.
import { z } from 'zod'
import {
  bindingSchema,
  credentialListSchema,
  credentialSchema,
  isApiKind,
  newCredentialSchema,
} from '../../protocol/credential.ts'
import { AppError } from '../../protocol/errors.ts'
import { credentialIdSchema } from '../../protocol/ids.ts'
import type { HttpDeps } from '../deps.ts'
import { type Api, addRoute } from '../route.ts'

const tag = 'Credentials'

export function addCredentialRoutes(
  api: Api,
  { owned: { credentials, environments } }: HttpDeps,
): void {
  addRoute(
    api,
    {
      ...{ method: 'get', path: '/credentials', summary: 'List credentials', tag },
      answer: credentialListSchema,
    },
    async ({ user }) => ({ credentials: await credentials.list(user.id) }),
  )
  addRoute(
    api,
    {
      ...{ method: 'post', path: '/credentials', summary: 'Keep a credential', tag },
      ...{ body: newCredentialSchema, answer: credentialSchema, status: 201 },
    },
    async ({ user, body }) => {
      if (!isApiKind(body.kind)) return credentials.create({ ...body, ownerId: user.id })
      const binding = body.binding ?? bindingSchema.parse({})
      const { environmentId } = binding
      if (environmentId !== null && !(await environments.get(user.id, environmentId))) {
        throw new AppError('not_found', 'environment_not_found', 'there is no such environment')
      }
      return credentials.create({ ...body, binding, ownerId: user.id })
    },
  )
  addRoute(
    api,
    {
      ...{ method: 'delete', path: '/credentials/{id}', summary: 'Forget a credential', tag },
      params: z.object({ id: credentialIdSchema }),
    },
    async ({ user, params }) => {
      if (await credentials.remove(user.id, params.id)) return
      throw new AppError('not_found', 'credential_not_found', 'there is no such credential')
    },
  )
}
