// How every route of the API is declared: once, with its schemas, for the server and for the OpenAPI document.
// A route is for a signed-in user unless it says otherwise; one of a session gets the session only when the user owns it.

import type { HttpBindings } from '@hono/node-server'
import { createRoute, type OpenAPIHono } from '@hono/zod-openapi'
import type { Context } from 'hono'
import { z } from 'zod'
import { errorBodySchema, type User } from '../protocol/api.ts'
import { AppError } from '../protocol/errors.ts'
import { type FoundSession, isUnreadable, unreadableError } from '../protocol/found-session.ts'
import { repositoryOf, type SessionState } from '../protocol/session.ts'
import type { HttpDeps } from './deps.ts'

export interface ApiEnv {
  Variables: { user?: User; credential?: 'cookie' | 'bearer' }
  /** Absent where the app is called without a server. */
  Bindings: Partial<HttpBindings>
}
export type Api = OpenAPIHono<ApiEnv>
export type ApiContext = Context<ApiEnv>

type Schema = z.ZodType
type ObjectSchema = z.ZodObject
type Output<S> = S extends Schema ? z.output<S> : undefined

export interface RouteSpec<P, Q, B, A> {
  method: 'get' | 'post' | 'put' | 'patch' | 'delete'
  path: string
  summary: string
  tag: string
  /** Who may call it: a signed-in user unless told. `owner`: of the installation. */
  access?: 'public' | 'user' | 'owner'
  params?: P
  query?: Q
  body?: B
  /** None: 204. */
  answer?: A
  status?: 200 | 201 | 202
}

export interface RouteRequest<P, Q, B> {
  user: User
  params: Output<P>
  query: Output<Q>
  body: Output<B>
  c: ApiContext
}

const ERROR_ANSWER = {
  description: 'Refused or failed',
  content: { 'application/json': { schema: errorBodySchema } },
}

export function addRoute<
  P extends ObjectSchema | undefined = undefined,
  Q extends ObjectSchema | undefined = undefined,
  B extends Schema | undefined = undefined,
  A extends Schema | undefined = undefined,
>(
  api: Api,
  spec: RouteSpec<P, Q, B, A>,
  run: (request: RouteRequest<P, Q, B>) => Promise<A extends Schema ? z.input<A> : void>,
): void {
  const { status = 200, answer } = spec
  const respond = async (c: ApiContext) => {
    const user = allowedUser(c, spec.access ?? 'user')
    const valid = (kind: string) => c.req.valid(kind as never) as never
    const params = spec.params ? valid('param') : (undefined as never)
    const query = spec.query ? valid('query') : (undefined as never)
    const body = spec.body ? valid('json') : (undefined as never)
    const result = await run({ user, params, query, body, c })
    // Parsing leaves out what the schema does not name: nothing is shown by accident.
    return answer ? c.json(answer.parse(result), status) : c.body(null, 204)
  }
  api.openapi(describeRoute(spec), respond as never)
}

/** Declares a route whose answer is not JSON (a stream, git) for the document only. */
export function describeRoute(
  spec: RouteSpec<
    ObjectSchema | undefined,
    ObjectSchema | undefined,
    Schema | undefined,
    Schema | undefined
  > & {
    answerType?: string
  },
) {
  const { method, path, summary, tag, access, params, query, body, answer, status = 200 } = spec
  const type = spec.answerType ?? 'application/json'
  const content = { [type]: { schema: answer ?? z.string() } }
  const done = { description: 'Done' }
  const success: Record<string, typeof done & { content?: typeof content }> = {}
  if (answer || spec.answerType) success[status] = { ...done, content }
  else success[204] = done
  const request = {
    ...(params ? { params } : {}),
    ...(query ? { query } : {}),
    ...(body
      ? { body: { required: true, content: { 'application/json': { schema: body } } } }
      : {}),
  }
  return createRoute({
    method,
    path,
    summary,
    tags: [tag],
    security: access === 'public' ? [] : [{ cookie: [] }, { bearer: [] }],
    request,
    responses: { ...success, default: ERROR_ANSWER },
  })
}

/** The signed-in user; what a public route gets instead is never looked at. */
export function allowedUser(c: ApiContext, access: 'public' | 'user' | 'owner'): User {
  const user = c.get('user')
  if (access === 'public') return user ?? NOBODY
  if (!user) throw new AppError('unauthenticated', 'login_required', 'sign in first')
  if (access === 'owner' && user.role !== 'owner') {
    throw new AppError('forbidden', 'owner_only', 'only the owner of this installation may do this')
  }
  return user
}

const NOBODY: User = { id: '', name: '', email: '', role: 'member' }

/** A whole id or the start of one that is unique among the user's sessions. */
export const sessionParams = z.object({
  id: z.string().regex(/^s_[a-z2-7]{1,20}$/, 'not a session id'),
})

/** With the name of an additional repository the session has to have one; without, its main one is meant. */
export function requireRepository(session: SessionState, name: string | undefined): SessionState {
  if (repositoryOf(session, name)) return session
  const known = session.additional.map((one) => one.name).join(', ') || 'none'
  const message = `the session has no additional repository ${name}; it has: ${known}`
  throw new AppError('not_found', 'repository_not_found', message)
}

export async function ownedSession(
  deps: Pick<HttpDeps, 'sessions'>,
  user: User,
  id: string,
): Promise<SessionState> {
  const found = await findOwned(deps, user, id)
  if (isUnreadable(found)) throw unreadableError(found.id)
  return found
}

/** Another owner's session is not there, as if it did not exist. */
export async function findOwned(
  { sessions }: Pick<HttpDeps, 'sessions'>,
  user: User,
  id: string,
): Promise<FoundSession> {
  const found = await sessions.findByPrefix(user.id, id)
  const [first, second] = found.filter((session) => session.ownerId === user.id)
  if (!first) throw new AppError('not_found', 'session_not_found', `there is no session ${id}`)
  if (second) {
    const message = `${id} is the start of several sessions, ${first.id} and ${second.id} among them`
    throw new AppError('conflict', 'ambiguous_id', message)
  }
  return first
}
