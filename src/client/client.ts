// The typed client of the HTTP API for the CLI and the page: one method per route.
import { z } from 'zod'
import {
  type AnswerBody,
  diffSchema,
  type EnvironmentDefault,
  type EnvironmentPatch,
  environmentDefaultsSchema,
  environmentListSchema,
  environmentSavedSchema,
  eventPageSchema,
  installationSchema,
  loginLinkSchema,
  messageAcceptedSchema,
  type NewEnvironment,
  type NewMessage,
  type NewSession,
  type NewUpload,
  type NewUser,
  rebuiltSchema,
  type SessionPatch,
  sessionAnswerSchema,
  sessionPageSchema,
  tokenCreatedSchema,
  tokenListSchema,
  trustedHostsSchema,
  uploadSchema,
  userCreatedSchema,
  userListSchema,
  userSchema,
} from '../protocol/api.ts'
import {
  credentialListSchema,
  credentialSchema,
  type NewCredential,
} from '../protocol/credential.ts'
import { environmentSchema } from '../protocol/environment.ts'
import { parseEvent } from '../protocol/event.ts'
import {
  type InstallationNetworkPatch,
  installationNetworkSchema,
} from '../protocol/installation-network.ts'
import { sessionNetworkSchema } from '../protocol/network-log.ts'
import type { AllowScope, PushGrantChange } from '../protocol/session.ts'
import { type FollowOptions, followEvents, followNetwork, followSessions } from './follow.ts'
import { type ClientOptions, requestJson, requestNothing } from './request.ts'

export type Client = ReturnType<typeof createClient>

export function createClient(options: ClientOptions) {
  return {
    ...sessionMethods(options),
    ...resourceMethods(options),
    ...peopleMethods(options),
    followEvents: (sessionId: string, follow: FollowOptions) =>
      followEvents(options, sessionId, follow),
    followNetwork: (sessionId: string, follow: Omit<FollowOptions, 'random'>) =>
      followNetwork(options, sessionId, follow),
    followSessions: (follow: Pick<FollowOptions, 'signal'>) => followSessions(options, follow),
  }
}

type SessionAction = 'stop' | 'retry' | 'push' | 'archive' | 'unarchive'

/** Ids may be shortened to a start that is unique. */
function sessionMethods(options: ClientOptions) {
  const pathOf = (id: string, rest = '') => `/sessions/${encodeURIComponent(id)}${rest}`
  const state = (method: 'GET' | 'POST' | 'PATCH' | 'DELETE', path: string, body?: unknown) =>
    requestJson(options, sessionAnswerSchema, { method, path, body })
  return {
    createSession: (fields: NewSession) => state('POST', '/sessions', fields),
    listSessions: (query: { limit?: number; before?: string; archived?: boolean } = {}) =>
      requestJson(options, sessionPageSchema, { path: '/sessions', query }),
    /** That which began with this turn; undefined: none has. */
    findBegun: async (turnId: string) =>
      (await requestJson(options, sessionPageSchema, { path: '/sessions', query: { turnId } }))
        .sessions[0],
    getSession: (id: string) => state('GET', pathOf(id)),
    patchSession: (id: string, patch: SessionPatch) => state('PATCH', pathOf(id), patch),
    actOnSession: (id: string, action: SessionAction) => state('POST', pathOf(id, `/${action}`)),
    /** Without `turnId` whichever turn is worked on. */
    interruptTurn: (id: string, turnId?: string) =>
      requestJson(options, sessionAnswerSchema, {
        ...{ method: 'POST', path: pathOf(id, '/interrupt'), query: { turnId } },
      }),
    removeSession: (id: string) => requestNothing(options, { method: 'DELETE', path: pathOf(id) }),
    /** `repository`: which of the additional ones; the main one without. */
    getDiff: (id: string, repository?: string) =>
      requestJson(options, diffSchema, { path: pathOf(id, '/diff'), query: { repository } }),
    /** Events of types that this version does not know are left out. */
    readEvents: async (id: string, query: { after?: number; limit?: number } = {}) => {
      const page = await requestJson(options, rawPageSchema, { path: pathOf(id, '/events'), query })
      const events = page.events.flatMap((value) => parseEvent(value) ?? [])
      return { ...page, events }
    },
    readNetwork: (id: string, query: { after?: number; limit?: number } = {}) =>
      requestJson(options, sessionNetworkSchema, { path: pathOf(id, '/network'), query }),
    sendMessage: (id: string, message: NewMessage) =>
      requestJson(options, messageAcceptedSchema, {
        ...{ method: 'POST', path: pathOf(id, '/messages'), body: message },
      }),
    withdrawMessage: (id: string, turnId: string) =>
      state('DELETE', pathOf(id, `/messages/${turnId}`)),
    changeGrants: (id: string, change: PushGrantChange) =>
      state('POST', pathOf(id, '/grant'), change),
    /** Allows a host, or without one what the repository asks to reach. */
    allow: (id: string, scope: AllowScope, host?: string) =>
      state('POST', pathOf(id, '/allow'), { scope, host }),
    answerQuestion: (id: string, questionId: string, answer: AnswerBody) =>
      state('POST', pathOf(id, `/questions/${encodeURIComponent(questionId)}`), answer),
  }
}

const rawPageSchema = eventPageSchema.extend({ events: z.array(z.unknown()) })

function resourceMethods(options: ClientOptions) {
  const ask = <S extends z.ZodType>(schema: S, path: string, query?: Record<string, boolean>) =>
    requestJson(options, schema, { path, query })
  const change = <S extends z.ZodType>(schema: S, path: string, body: unknown) =>
    requestJson(options, schema, { method: 'POST', path, body })
  return {
    listEnvironments: async (query: { archived?: boolean } = {}) => {
      const { archived = false } = query
      return (await ask(environmentListSchema, '/environments', { archived })).environments
    },
    createEnvironment: (fields: NewEnvironment) =>
      change(environmentSavedSchema, '/environments', fields),
    patchEnvironment: (id: string, patch: EnvironmentPatch) =>
      requestJson(options, environmentSavedSchema, {
        ...{ method: 'PATCH', path: `/environments/${id}`, body: patch },
      }),
    duplicateEnvironment: (id: string, name?: string) =>
      change(environmentSavedSchema, `/environments/${id}/duplicate`, { name }),
    getEnvironmentDefaults: () => ask(environmentDefaultsSchema, '/environment-defaults'),
    setEnvironmentDefault: (choice: EnvironmentDefault) =>
      requestJson(options, environmentDefaultsSchema, {
        ...{ method: 'PATCH', path: '/environment-defaults', body: choice },
      }),
    archiveEnvironment: (id: string) =>
      change(environmentSchema, `/environments/${id}/archive`, undefined),
    rebuildEnvironment: (id: string) =>
      change(rebuiltSchema, `/environments/${id}/rebuild`, undefined),
    listCredentials: async () => (await ask(credentialListSchema, '/credentials')).credentials,
    createCredential: (fields: NewCredential) => change(credentialSchema, '/credentials', fields),
    removeCredential: (id: string) =>
      requestNothing(options, { method: 'DELETE', path: `/credentials/${encodeURIComponent(id)}` }),
    getInstallationNetwork: () => ask(installationNetworkSchema, '/installation/network'),
    patchInstallationNetwork: (patch: InstallationNetworkPatch) =>
      requestJson(options, installationNetworkSchema, {
        ...{ method: 'PATCH', path: '/installation/network', body: patch },
      }),
    /** By id or name of an environment; of the default one without. */
    getTrustedHosts: (environment?: string) =>
      requestJson(options, trustedHostsSchema, { path: '/trusted-hosts', query: { environment } }),
    createUpload: (fields: NewUpload) => change(uploadSchema, '/uploads', fields),
  }
}

function peopleMethods(options: ClientOptions) {
  const ask = <S extends z.ZodType>(schema: S, path: string) =>
    requestJson(options, schema, { path })
  const change = <S extends z.ZodType>(schema: S, path: string, body?: unknown) =>
    requestJson(options, schema, { method: 'POST', path, body })
  const idPath = (collection: string, id: string) => `/${collection}/${encodeURIComponent(id)}`
  return {
    getMe: () => ask(userSchema, '/me'),
    getInstallation: () => ask(installationSchema, '/installation'),
    getHealth: (signal?: AbortSignal) =>
      requestJson(options, healthSchema, { path: '/health', ...(signal ? { signal } : {}) }),
    listUsers: async () => (await ask(userListSchema, '/users')).users,
    addUser: (fields: NewUser) => change(userCreatedSchema, '/users', fields),
    createLoginLink: (userId: string) =>
      change(loginLinkSchema, `${idPath('users', userId)}/login-link`),
    listTokens: async () => (await ask(tokenListSchema, '/tokens')).tokens,
    createToken: (name: string) => change(tokenCreatedSchema, '/tokens', { name }),
    removeToken: (id: string) =>
      requestNothing(options, { method: 'DELETE', path: idPath('tokens', id) }),
    logout: () => requestNothing(options, { method: 'POST', path: '/logout' }),
  }
}

const healthSchema = z.object({ status: z.literal('ok'), version: z.string() })
