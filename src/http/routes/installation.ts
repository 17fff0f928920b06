// What this installation is, whether it answers, and the document of its API.
import { z } from 'zod'
import { installationSchema } from '../../protocol/api.ts'
import type { HttpDeps } from '../deps.ts'
import { type Api, type ApiContext, addRoute, describeRoute } from '../route.ts'
import { renderDocs } from './docs-page.ts'

const tag = 'Installation'

export function addInstallationRoutes(api: Api, { site }: HttpDeps): void {
  const { version } = site
  addRoute(
    api,
    {
      ...{ method: 'get', path: '/health', summary: 'Whether it answers', tag, access: 'public' },
      answer: z.object({ status: z.literal('ok'), version: z.string() }),
    },
    async () => ({ status: 'ok' as const, version }),
  )
  addRoute(
    api,
    {
      ...{ method: 'get', path: '/installation', tag, answer: installationSchema },
      summary: 'Version, model, isolation and drivers',
    },
    async ({ user }) => ({ ...(await site.installation(user)), version, user }),
  )
  const about = { title: 'Errand', version, license: { name: 'Apache-2.0' } }
  const describe = () =>
    api.getOpenAPI31Document({ openapi: '3.1.0', info: about, servers: [{ url: '/api/v1' }] })
  api.openAPIRegistry.registerComponent('securitySchemes', 'bearer', {
    type: 'http',
    scheme: 'bearer',
  })
  api.openAPIRegistry.registerComponent('securitySchemes', 'cookie', {
    ...{ type: 'apiKey', in: 'cookie', name: 'session_token' },
  })
  const documented = (path: string, summary: string, answerType: string) =>
    describeRoute({ method: 'get', path, summary, tag, access: 'public', answerType })
  api.openapi(documented('/openapi.json', 'This document', 'application/json'), ((c: ApiContext) =>
    c.json(describe())) as never)
  api.openapi(documented('/docs', 'This document for people', 'text/html'), ((c: ApiContext) =>
    c.html(renderDocs(describe() as never))) as never)
}
