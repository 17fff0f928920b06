// Sessions: made, listed, changed, ended. All rules about what may happen when are `decide`'s.
import type { z } from 'zod'
import {
  allowBodySchema,
  diffQuerySchema,
  diffSchema,
  interruptQuerySchema,
  newSessionSchema,
  sessionAnswerSchema,
  sessionListQuerySchema,
  sessionPageSchema,
  sessionPatchSchema,
} from '../../protocol/api.ts'
import {
  allowOnly,
  environmentFieldsSchema,
  joinNetworks,
  type NetworkPolicy,
} from '../../protocol/environment.ts'
import { AppError } from '../../protocol/errors.ts'
import { hostOfPattern, namesHost } from '../../protocol/installation-network.ts'
import { pushGrantChangeSchema, type SessionState } from '../../protocol/session.ts'
import type { HttpDeps, SessionCommand } from '../deps.ts'
import { summarizeWithPlaces, withPlace } from '../places.ts'
import {
  type Api,
  addRoute,
  findOwned,
  ownedSession,
  requireRepository,
  sessionParams,
} from '../route.ts'

const tag = 'Sessions'

export function addSessionRoutes(api: Api, deps: HttpDeps): void {
  const { sessions } = deps
  addRoute(
    api,
    {
      ...{ method: 'post', path: '/sessions', summary: 'Start a session with its first turn', tag },
      ...{ body: newSessionSchema, answer: sessionAnswerSchema, status: 201 },
    },
    async ({ user, body }) => {
      for (const { source } of [body, ...body.additional]) await checkSource(deps, user.id, source)
      return withPlace(sessions, await sessions.create(user, body))
    },
  )
  addRoute(
    api,
    {
      ...{ method: 'get', path: '/sessions', summary: 'List sessions, latest change first', tag },
      ...{ query: sessionListQuerySchema, answer: sessionPageSchema },
    },
    async ({ user, query }) => {
      const { limit, before, archived: includeArchived, turnId } = query
      const page =
        turnId === undefined
          ? await sessions.list(user.id, { limit, before, includeArchived })
          : await sessions.listBegun(user.id, turnId)
      const summaries = await summarizeWithPlaces(sessions, page.sessions)
      return { sessions: summaries, next: page.next }
    },
  )
  addRoute(
    api,
    {
      ...{ method: 'get', path: '/sessions/{id}', summary: 'The state of a session', tag },
      ...{ params: sessionParams, answer: sessionAnswerSchema },
    },
    async ({ user, params }) => withPlace(sessions, await ownedSession(deps, user, params.id)),
  )
  addRoute(
    api,
    {
      ...{ method: 'get', path: '/sessions/{id}/diff', summary: 'What its branch changed', tag },
      ...{ params: sessionParams, query: diffQuerySchema, answer: diffSchema },
    },
    async ({ user, params, query: { repository } }) => {
      const session = await ownedSession(deps, user, params.id)
      return sessions.diff(requireRepository(session, repository).id, repository)
    },
  )
  addRoute(
    api,
    {
      ...{ method: 'delete', path: '/sessions/{id}', summary: 'Remove a session for good', tag },
      ...{ params: sessionParams },
    },
    async ({ user, params }) => sessions.remove((await findOwned(deps, user, params.id)).id),
  )
  addPatch(api, deps)
  addActions(api, deps)
  addInterrupt(api, deps)
  addAllow(api, deps)
  addGrant(api, deps)
}

function addPatch(api: Api, deps: HttpDeps): void {
  addRoute(
    api,
    {
      ...{ method: 'patch', path: '/sessions/{id}', tag },
      summary: 'Rename it, set mode or model for what follows, or what it may reach from now on',
      ...{ params: sessionParams, body: sessionPatchSchema, answer: sessionAnswerSchema },
    },
    async ({ user, params, body }) => {
      let state = await ownedSession(deps, user, params.id)
      for (const command of patchCommands(body)) {
        state = await deps.sessions.command(state.id, command)
      }
      return withPlace(deps.sessions, state)
    },
  )
}

function patchCommands({
  title,
  mode,
  model,
  network,
}: z.infer<typeof sessionPatchSchema>): SessionCommand[] {
  return [
    ...(title === undefined ? [] : [{ type: 'session.rename' as const, title }]),
    ...(mode === undefined ? [] : [{ type: 'mode.set' as const, mode }]),
    ...(model === undefined ? [] : [{ type: 'model.set' as const, model }]),
    ...(network === undefined ? [] : [{ type: 'network.set' as const, network }]),
  ]
}

const ACTIONS = {
  stop: { summary: 'Stop the sandbox; its files stay', type: 'session.stop' },
  retry: { summary: 'Try again what failed', type: 'session.retry' },
  push: { summary: 'Push outward again, now, what is kept here', type: 'push.retry' },
  archive: { summary: 'Archive it; its sandbox goes, its branch stays', type: 'session.archive' },
  unarchive: { summary: 'Take it out of the archive', type: 'session.unarchive' },
} as const

function addActions(api: Api, deps: HttpDeps): void {
  for (const [name, { summary, type }] of Object.entries(ACTIONS)) {
    addRoute(
      api,
      {
        ...{ method: 'post', path: `/sessions/{id}/${name}`, summary, tag },
        ...{ params: sessionParams, answer: sessionAnswerSchema },
      },
      async ({ user, params }) => {
        const session = await ownedSession(deps, user, params.id)
        return withPlace(deps.sessions, await deps.sessions.command(session.id, { type }))
      },
    )
  }
}

function addInterrupt(api: Api, deps: HttpDeps): void {
  addRoute(
    api,
    {
      ...{ method: 'post', path: '/sessions/{id}/interrupt', tag },
      summary: 'Interrupt the working turn; with its id only while it is that one',
      ...{ params: sessionParams, query: interruptQuerySchema, answer: sessionAnswerSchema },
    },
    async ({ user, params, query: { turnId } }) => {
      const session = await ownedSession(deps, user, params.id)
      const interrupt = { type: 'turn.interrupt' as const, ...(turnId ? { turnId } : {}) }
      return withPlace(deps.sessions, await deps.sessions.command(session.id, interrupt))
    },
  )
}

function addAllow(api: Api, deps: HttpDeps): void {
  addRoute(
    api,
    {
      ...{ method: 'post', path: '/sessions/{id}/allow', tag },
      summary: 'Allow a host, or what its repository asks to reach, here or in its environment',
      ...{ params: sessionParams, body: allowBodySchema, answer: sessionAnswerSchema },
    },
    async ({ user, params, body: { scope, host } }) => {
      const session = await ownedSession(deps, user, params.id)
      if (host) await refuseDenied(deps, host)
      const asked = host ? allowOnly(host) : session.environmentFile?.network
      if (scope === 'environment' && asked) await widen(deps, session, asked)
      const allow = { type: 'environment.allow' as const, scope, ...(host ? { host } : {}) }
      return withPlace(deps.sessions, await deps.sessions.command(session.id, allow))
    },
  )
}

function addGrant(api: Api, deps: HttpDeps): void {
  addRoute(
    api,
    {
      ...{ method: 'post', path: '/sessions/{id}/grant', tag },
      summary: 'Let it push to one more branch, take that back, or let it rewrite its own',
      ...{ params: sessionParams, body: pushGrantChangeSchema, answer: sessionAnswerSchema },
    },
    async ({ user, params, body }) => {
      const session = await ownedSession(deps, user, params.id)
      const grant = { type: 'push.grant' as const, ...body }
      return withPlace(deps.sessions, await deps.sessions.command(session.id, grant))
    },
  )
}

/** It would be allowed and refused all the same. */
async function refuseDenied({ site }: HttpDeps, pattern: string): Promise<void> {
  const asked = hostOfPattern(pattern)
  const { deny } = await site.network.get()
  if (!(deny.includes(pattern) || (asked && namesHost(deny, asked)))) return
  const message = `${pattern} is on the deny list of this installation, which wins. Its owner can take it off.`
  throw new AppError('conflict', 'denied_by_installation', message)
}

/** The saved environment as it is now: it may have been changed since the session started. */
async function widen(
  { owned: { environments } }: HttpDeps,
  { ownerId, environment: { id } }: SessionState,
  asked: NetworkPolicy,
): Promise<void> {
  const current = await environments.get(ownerId, id)
  if (current?.archivedAt !== null) {
    const message = 'the environment of this session is archived: allow it for this session instead'
    throw new AppError('conflict', 'environment_archived', message)
  }
  await environments.update(ownerId, id, (saved) => ({
    ...environmentFieldsSchema.parse(saved),
    network: joinNetworks(saved.network, asked),
  }))
}

/** What a new session builds on must belong to the same owner. */
async function checkSource(
  deps: HttpDeps,
  ownerId: string,
  source: z.output<typeof newSessionSchema>['source'],
): Promise<void> {
  switch (source.kind) {
    case 'remote':
      return
    case 'upload':
      if (await deps.owned.uploads.has(ownerId, source.uploadId)) return
      throw new AppError('not_found', 'upload_not_found', 'there is no such upload')
    case 'session': {
      const found = await deps.sessions.findByPrefix(ownerId, source.sessionId)
      if (found.some(({ id, ownerId: owner }) => id === source.sessionId && owner === ownerId))
        return
      throw new AppError('not_found', 'session_not_found', 'there is no such source session')
    }
  }
}
