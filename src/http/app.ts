// The whole HTTP side of Errand as one function: checks first, then the API, then the page.
import { OpenAPIHono } from '@hono/zod-openapi'
import { Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { AppError } from '../protocol/errors.ts'
import type { HttpDeps } from './deps.ts'
import { refuseInvalid, respondToError } from './errors.ts'
import type { Api, ApiEnv } from './route.ts'
import { addCredentialRoutes } from './routes/credentials.ts'
import { addEnvironmentRoutes } from './routes/environments.ts'
import { addEventRoutes } from './routes/events.ts'
import { addInstallationRoutes } from './routes/installation.ts'
import { addLogout, createLoginPage } from './routes/login.ts'
import { addMessageRoutes } from './routes/messages.ts'
import { addNetworkRoutes } from './routes/network.ts'
import { addSessionRoutes } from './routes/sessions.ts'
import { addUploadRoutes } from './routes/uploads.ts'
import { addTokenRoutes, addUserRoutes } from './routes/users.ts'
import { checkHost, checkOrigin, SECURE_HEADERS, secureHeaders } from './security.ts'
import { authenticate, requireUser } from './sign-in/authenticate.ts'
import { serveStatic } from './static-files.ts'

const API_PATH = '/api/v1'
/** Of JSON bodies; packs of git do not pass through here. The longest prompt fits in any encoding. */
const MOST_BODY_BYTES = 2 * 1024 * 1024

/** What holds every route, handed in for tests that leave one out. */
const CHECKS = { authenticate, checkHost, checkOrigin, headers: SECURE_HEADERS }

export function createHttpApp(deps: HttpDeps, given: Partial<typeof CHECKS> = {}): Hono<ApiEnv> {
  const { accounts, site } = deps
  const checks = { ...CHECKS, ...given }
  const app = new Hono<ApiEnv>()
  app.onError((error, c) => respondToError(error, c, site.logger))
  app.use(secureHeaders(checks.headers))
  app.use(checks.checkHost(site.hosts))
  app.use('/api/*', checks.authenticate(accounts))
  app.use('/api/*', checks.checkOrigin(site.origins))
  app.use('/api/*', requireUser())
  app.use('/api/*', limitBody())
  app.route(API_PATH, createApi(deps))
  app.all('/api/*', () => {
    throw new AppError('not_found', 'route_not_found', 'there is nothing at this address')
  })
  app.route('/', createLoginPage(accounts))
  app.use('*', serveStatic(site.webFolder))
  return app
}

function createApi(deps: HttpDeps): Api {
  const api: Api = new OpenAPIHono<ApiEnv>({ defaultHook: refuseInvalid as never })
  addEventRoutes(api, deps)
  addSessionRoutes(api, deps)
  addMessageRoutes(api, deps)
  addEnvironmentRoutes(api, deps)
  addCredentialRoutes(api, deps)
  addUploadRoutes(api, deps)
  addUserRoutes(api, deps)
  addTokenRoutes(api, deps)
  addLogout(api, deps.accounts)
  addInstallationRoutes(api, deps)
  addNetworkRoutes(api, deps)
  return api
}

function limitBody() {
  const limit = bodyLimit({
    maxSize: MOST_BODY_BYTES,
    onError: () => {
      const message = `a body has at most ${MOST_BODY_BYTES} bytes`
      throw new AppError('too_large', 'body_too_large', message)
    },
  })
  return ((c, next) =>
    c.req.path.startsWith(`${API_PATH}/git/`) ? next() : limit(c, next)) satisfies typeof limit
}
