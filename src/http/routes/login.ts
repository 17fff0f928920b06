// The way in for browsers: a one-time link becomes a session cookie.
import { Hono } from 'hono'
import { AppError } from '../../protocol/errors.ts'
import { type Api, type ApiEnv, addRoute } from '../route.ts'
import type { Accounts } from '../sign-in/accounts.ts'
import { createAttemptLimit } from '../sign-in/attempt-limit.ts'

const ATTEMPTS = { limit: 20, windowMs: 60_000 }

/** Lies outside /api: a person opens it, and the answer is the page. */
export function createLoginPage(accounts: Accounts): Hono<ApiEnv> {
  const allow = createAttemptLimit({ ...ATTEMPTS, now: () => performance.now() })
  const app = new Hono<ApiEnv>()
  app.get('/login', async (c) => {
    const token = c.req.query('token')
    // A link works once: what only looks ahead must not spend it.
    const looksAhead = c.req.method === 'HEAD' || c.req.header('sec-purpose')?.includes('prefetch')
    if (!token || looksAhead) return c.redirect('/', 303)
    if (!allow(c.env?.incoming?.socket.remoteAddress ?? '')) {
      throw new AppError('rate_limited', 'too_many_logins', 'too many attempts: wait a minute')
    }
    const login = await accounts.login(token)
    if (!login) return c.redirect('/?login=invalid', 303)
    for (const cookie of login.cookies) c.header('set-cookie', cookie, { append: true })
    return c.redirect('/', 303)
  })
  return app
}

export function addLogout(api: Api, accounts: Accounts): void {
  addRoute(
    api,
    { method: 'post', path: '/logout', summary: 'End this browser session', tag: 'Users' },
    async ({ c }) => {
      const { cookies } = await accounts.logout(c.req.raw.headers)
      for (const cookie of cookies) c.header('set-cookie', cookie, { append: true })
    },
  )
}
