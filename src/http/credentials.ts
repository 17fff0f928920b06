// Credentials for git hosts. A secret comes in once and is never shown again.
import { z } from 'zod'
import { credentialListSchema, credentialSchema, newCredentialSchema } from '../protocol/api.ts'
import { AppError } from '../protocol/errors.ts'
import { credentialIdSchema } from '../protocol/ids.ts'
import type { HttpDeps } from './deps.ts'
import { type Api, addRoute } from './route.ts'

const tag = 'Credentials'

export function addCredentialRoutes(api: Api, { owned: { credentials } }: HttpDeps): void {
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
      return credentials.create({ ...body, ownerId: user.id })
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
