// Users of this installation, their one-time links and their bearer tokens.
import { z } from 'zod'
import {
  loginLinkSchema,
  newTokenSchema,
  newUserSchema,
  tokenCreatedSchema,
  tokenListSchema,
  userCreatedSchema,
  userListSchema,
  userSchema,
} from '../../protocol/api.ts'
import { AppError } from '../../protocol/errors.ts'
import type { HttpDeps } from '../deps.ts'
import { type Api, addRoute } from '../route.ts'

const tag = 'Users'
const params = z.object({ id: z.string().min(1).max(100) })

export function addUserRoutes(api: Api, { accounts }: HttpDeps): void {
  addRoute(
    api,
    {
      ...{ method: 'get', path: '/users', summary: 'List users', tag },
      ...{ access: 'owner', answer: userListSchema },
    },
    async () => ({ users: await accounts.listUsers() }),
  )
  addRoute(
    api,
    {
      ...{
        method: 'post',
        path: '/users',
        summary: 'Add a user; answers with a one-time link',
        tag,
      },
      ...{ access: 'owner', body: newUserSchema, answer: userCreatedSchema, status: 201 },
    },
    async ({ body }) => {
      const user = await accounts.addUser({ ...body, role: 'member' })
      return { user, loginLink: await accounts.createLoginLink(user.id) }
    },
  )
  addRoute(
    api,
    {
      ...{ method: 'post', path: '/users/{id}/login-link', summary: 'A new one-time link', tag },
      ...{ access: 'owner', params, answer: loginLinkSchema, status: 201 },
    },
    async ({ params: { id } }) => accounts.createLoginLink(id),
  )
  addRoute(
    api,
    { method: 'get', path: '/me', summary: 'Who is signed in', tag, answer: userSchema },
    async ({ user }) => user,
  )
}

export function addTokenRoutes(api: Api, { accounts }: HttpDeps): void {
  addRoute(
    api,
    { method: 'get', path: '/tokens', summary: 'List bearer tokens', tag, answer: tokenListSchema },
    async ({ user }) => ({ tokens: await accounts.listTokens(user.id) }),
  )
  addRoute(
    api,
    {
      ...{
        method: 'post',
        path: '/tokens',
        summary: 'Make a token; its secret is shown once',
        tag,
      },
      ...{ body: newTokenSchema, answer: tokenCreatedSchema, status: 201 },
    },
    async ({ user, body }) => accounts.createToken(user.id, body.name),
  )
  addRoute(
    api,
    { method: 'delete', path: '/tokens/{id}', summary: 'Revoke a token', tag, params },
    async ({ user, params: { id } }) => {
      if (await accounts.removeToken(user.id, id)) return
      throw new AppError('not_found', 'token_not_found', 'there is no such token')
    },
  )
}
