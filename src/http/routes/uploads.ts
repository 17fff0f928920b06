// Repositories from a person's disk, and git's own door for people: push to an upload, fetch a session's branch.
// Git itself speaks on the raw streams, behind `deps.gitDoor`; here it is decided only who may and which service.
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { z } from 'zod'
import { newUploadSchema, uploadSchema } from '../../protocol/api.ts'
import { AppError } from '../../protocol/errors.ts'
import { uploadIdSchema } from '../../protocol/ids.ts'
import { repositoryNameSchema } from '../../protocol/session.ts'
import type { GitRequest, HttpDeps } from '../deps.ts'
import {
  type Api,
  type ApiContext,
  addRoute,
  allowedUser,
  describeRoute,
  ownedSession,
  requireRepository,
  sessionParams,
} from '../route.ts'

const tag = 'Git'
const uploadParams = z.object({ id: uploadIdSchema })
const repositoryParams = sessionParams.extend({ repository: repositoryNameSchema })
const serviceQuery = z.object({ service: z.enum(['git-upload-pack', 'git-receive-pack']) })
const SERVICES = { push: 'git-receive-pack', fetch: 'git-upload-pack' } as const

export function addUploadRoutes(api: Api, deps: HttpDeps): void {
  const { uploads } = deps.owned
  addRoute(
    api,
    {
      ...{ method: 'post', path: '/uploads', tag, status: 201 },
      summary: 'Make an empty repository to push to',
      ...{ body: newUploadSchema, answer: uploadSchema },
    },
    async ({ user, body }) => {
      const { id } = await uploads.create(user.id, body)
      return { id, gitPath: `/api/v1/git/uploads/${id}` }
    },
  )
  addGit(api, deps, {
    ...{ kind: 'upload', access: 'push', path: '/git/uploads/{id}', params: uploadParams },
    find: async (c, { id }) => {
      if (await uploads.has(allowedUser(c, 'user').id, id)) return { id }
      throw new AppError('not_found', 'upload_not_found', 'there is no such upload')
    },
  })
  addGit(api, deps, {
    ...{ kind: 'session', access: 'fetch', path: '/git/sessions/{id}', params: sessionParams },
    find: async (c, { id }) => ({ id: (await ownedSession(deps, allowedUser(c, 'user'), id)).id }),
  })
  addGit(api, deps, {
    ...{ kind: 'session', access: 'fetch', params: repositoryParams },
    path: '/git/sessions/{id}/repositories/{repository}',
    find: async (c, { id, repository }) => {
      const session = await ownedSession(deps, allowedUser(c, 'user'), id)
      return { id: requireRepository(session, repository).id, repository }
    },
  })
}

type Named = Omit<GitRequest['target'], 'kind'>

interface GitRepository {
  kind: GitRequest['target']['kind']
  access: GitRequest['access']
  path: string
  params: z.ZodObject
  /** With the whole id of what the caller owns. */
  find(c: ApiContext, named: Named): Promise<Named>
}

function addGit(api: Api, deps: HttpDeps, repository: GitRepository): void {
  const { access, path, params } = repository
  const service = SERVICES[access]
  const run = (rest: string) => async (c: ApiContext) => {
    const named = c.req.valid('param' as never) as Named
    const target = { kind: repository.kind, ...(await repository.find(c, named)) }
    const below = rest.split('?', 1)[0] ?? ''
    const base = `${originOf(deps, c)}${c.req.path.slice(0, -below.length - 1)}`
    const { incoming, outgoing } = c.env ?? {}
    if (!incoming || !outgoing) {
      throw new AppError('unsupported', 'no_stream', 'git needs a connection of its own')
    }
    await deps.gitDoor({ target, rest, access, base, incoming, outgoing })
    return RESPONSE_ALREADY_SENT
  }
  const announce = run(`info/refs?service=${service}`)
  api.openapi(
    describeRoute({
      ...{ method: 'get', path: `${path}/info/refs`, params, query: serviceQuery, tag },
      summary: `Git's own protocol: references, for ${access} only`,
      answerType: `application/x-${service}-advertisement`,
    }),
    ((c: ApiContext) => {
      const asked = c.req.valid('query' as never) as z.output<typeof serviceQuery>
      if (asked.service === service) return announce(c)
      throw new AppError(
        'forbidden',
        'git_service_refused',
        `this repository is for ${access} only`,
      )
    }) as never,
  )
  api.openapi(
    describeRoute({
      ...{ method: 'post', path: `${path}/${service}`, params, tag },
      summary: `Git's own protocol: ${access}`,
      answerType: `application/x-${service}-result`,
    }),
    run(service) as never,
  )
  addLargeFiles(api, repository, run)
}

/** Only a known Host comes this far. */
function originOf({ site }: HttpDeps, c: ApiContext): string {
  const host = c.req.header('host') ?? ''
  return site.origins.find((origin) => new URL(origin).host === host) ?? `http://${host}`
}

const fileParams = z.object({ oid: z.string().regex(/^[0-9a-f]{64}$/) })

/** Large files (Git LFS): those of a push come with it, those of a session are fetched. */
function addLargeFiles(
  api: Api,
  { access, path, params }: GitRepository,
  run: (rest: string) => (c: ApiContext) => Promise<unknown>,
): void {
  const below = 'info/lfs/objects'
  api.openapi(
    describeRoute({
      ...{ method: 'post', path: `${path}/${below}/batch`, params, tag },
      summary: `Large files (Git LFS): what to ${access}, and where`,
      answerType: 'application/vnd.git-lfs+json',
    }),
    run(`${below}/batch`) as never,
  )
  api.openapi(
    describeRoute({
      ...{ method: access === 'push' ? 'put' : 'get', path: `${path}/${below}/{oid}`, tag },
      params: params.extend(fileParams.shape),
      summary: `Large files (Git LFS): ${access} one`,
      answerType: access === 'push' ? 'application/vnd.git-lfs+json' : 'application/octet-stream',
    }),
    ((c: ApiContext) => {
      const { oid } = c.req.valid('param' as never) as z.output<typeof fileParams>
      return run(`${below}/${oid}`)(c)
    }) as never,
  )
}
