// Says who calls: by bearer token, else by session cookie. Nobody gets past it except to what is public.
import type { MiddlewareHandler } from 'hono'
import { AppError } from '../../protocol/errors.ts'
import type { ApiEnv } from '../route.ts'
import type { Accounts } from './accounts.ts'

/** Reachable by anybody who reaches the server. A route that is not named here needs a user, whatever it says itself. */
const PUBLIC_PATHS = new Set(['/api/v1/health', '/api/v1/openapi.json', '/api/v1/docs'])

export function authenticate(accounts: Accounts): MiddlewareHandler<ApiEnv> {
  return async (c, next) => {
    const authorization = c.req.header('authorization')
    if (authorization !== undefined) {
      const secret = /^bearer +(\S+)$/i.exec(authorization)?.[1]
      const user = secret && (await accounts.userOfToken(secret))
      if (!user) {
        throw new AppError('unauthenticated', 'token_invalid', 'this bearer token is not valid')
      }
      c.set('user', user)
      c.set('credential', 'bearer')
    } else if (c.req.header('cookie') !== undefined) {
      const found = await accounts.userOfCookie(c.req.raw.headers)
      if (found) {
        c.set('user', found.user)
        c.set('credential', 'cookie')
        for (const cookie of found.cookies) c.header('set-cookie', cookie, { append: true })
      }
    }
    await next()
  }
}

export function requireUser(): MiddlewareHandler<ApiEnv> {
  return async (c, next) => {
    if (!c.get('user') && !PUBLIC_PATHS.has(c.req.path)) {
      throw new AppError('unauthenticated', 'login_required', 'sign in first')
    }
    await next()
  }
}
