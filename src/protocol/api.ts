// Bodies of the HTTP API under /api/v1. The routes, the OpenAPI document, the CLI and the page share these schemas.
import { z } from 'zod'
import { NO_USAGE, NOTHING_OUTSIDE } from './apply-session.ts'
import {
  domainPatternSchema,
  environmentFieldsSchema,
  environmentSchema,
  gitSettingsSchema,
  imageSchema,
  limitsSchema,
  networkPolicySchema,
  setupInputsSchema,
  setupSchema,
  trafficLimitsSchema,
  variablesSchema,
} from './environment.ts'
import { ERROR_CODES, type ErrorCode } from './errors.ts'
import { eventSchema } from './event.ts'
import { type UnreadableSession, unreadableError } from './found-session.ts'
import { environmentIdSchema, sessionIdSchema, turnIdSchema, uploadIdSchema } from './ids.ts'
import { nameSchema } from './name.ts'
import { registrySchema } from './reach.ts'
import { secretHintSchema } from './secret-hints.ts'
import {
  accessSchema,
  allowScopeSchema,
  answerSchema,
  MOST_REPOSITORIES,
  modeSchema,
  promptSchema,
  repositoryNameSchema,
  type SessionState,
  sessionStateSchema,
  turnKindSchema,
} from './session.ts'

/** Where to work. A URL with user and password in it is taken apart: the password is kept sealed and never shown. */
export const newSourceSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('remote'), url: z.string().min(1).max(2048) }),
  z.object({
    kind: z.literal('upload'),
    uploadId: uploadIdSchema,
    /** What `git config remote.origin.url` says in the repository on the disk. */
    origin: z.string().max(2048).nullable().default(null),
  }),
  z.object({ kind: z.literal('session'), sessionId: sessionIdSchema }),
])

/** Branch or commit to start from; the default branch when absent. */
const startSchema = z.string().min(1).max(250).nullable().default(null)

export const newAdditionalSchema = z.object({
  source: newSourceSchema,
  baseBranch: startSchema,
  /** `write`: a branch of the session's own there, which is pushed. `read`: fetched only. */
  access: accessSchema.default('write'),
})

/** Chosen by who sends it, so that it counts once when it is sent again because the answer did not arrive. */
const chosenTurnIdSchema = turnIdSchema.optional()

export const newSessionSchema = z.object({
  prompt: promptSchema,
  turnId: chosenTurnIdSchema,
  kind: turnKindSchema.default('agent'),
  /** The main repository. */
  source: newSourceSchema,
  baseBranch: startSchema,
  /** Further repositories, each in a folder beside the main one. */
  additional: z
    .array(newAdditionalSchema)
    .max(MOST_REPOSITORIES - 1)
    .default([]),
  title: nameSchema(200).optional(),
  /** Id or name; the default of the repository or of its owner when absent. */
  environment: z.string().min(1).max(80).optional(),
  /** Replaces the environment's network policy for this session. */
  network: networkPolicySchema.optional(),
  driver: z.string().min(1).max(40).optional(),
  mode: modeSchema.default('work'),
  model: z.string().min(1).max(100).nullable().default(null),
})
export type NewSession = z.input<typeof newSessionSchema>

/** In the queue of sessions that wait for a free slot; 1 is the next one. */
export const placeSchema = z.object({ number: z.int(), of: z.int() })
export type Place = z.infer<typeof placeSchema>

/** A state with what is not in its own log. */
export const sessionAnswerSchema = sessionStateSchema.extend({
  /** Only while it is queued. */
  place: placeSchema.optional(),
})
export type SessionAnswer = z.infer<typeof sessionAnswerSchema>

export const sessionSummarySchema = sessionStateSchema
  .pick({
    id: true,
    title: true,
    status: true,
    createdAt: true,
    updatedAt: true,
    lastSeq: true,
    repository: true,
    additional: true,
    mode: true,
    model: true,
    usage: true,
    changes: true,
    outward: true,
    failure: true,
  })
  .extend({
    sandboxState: z.string(),
    openQuestions: z.int(),
    /** Messages that wait in it. */
    queued: z.int(),
    /** Null unless the session is queued. */
    place: placeSchema.nullable().default(null),
  })
export type SessionSummary = z.infer<typeof sessionSummarySchema>

/** What lists show of a session; its place is not in its state. */
export function summarizeSession(state: SessionState): SessionSummary {
  const { id, title, status, createdAt, updatedAt, lastSeq, mode, model } = state
  const { repository, additional } = state
  const { usage, changes, outward, failure, sandbox, questions, queue } = state
  return {
    ...{ id, title, status, createdAt, updatedAt, lastSeq, repository, additional, mode, model },
    ...{ usage, changes, outward, failure },
    sandboxState: sandbox.state,
    openQuestions: questions.length,
    queued: queue.length,
    place: null,
  }
}

/** It says what is wrong where others say why they failed. */
export function summarizeUnreadable(found: UnreadableSession): SessionSummary {
  const { id, title, isArchived, createdAt, updatedAt, lastSeq, repository, sandboxState } = found
  const { reason, message } = unreadableError(id)
  return {
    ...{ id, title, createdAt, updatedAt, lastSeq, repository, sandboxState },
    status: isArchived ? 'archived' : 'failed',
    failure: { reason, message },
    ...{ additional: [], mode: 'work', model: null, usage: NO_USAGE, changes: null },
    ...{ outward: NOTHING_OUTSIDE, openQuestions: 0, queued: 0, place: null },
  }
}

const flagSchema = z.enum(['true', 'false']).transform((value) => value === 'true')

/** Latest change first. `before` is the `next` of the page before. */
export const sessionListQuerySchema = z.object({
  limit: z.coerce.number().int().min(1).max(200).default(50),
  before: z.string().max(100).optional(),
  archived: flagSchema.default(false),
  /** That which began with this turn, archived or not, and no other. */
  turnId: turnIdSchema.optional(),
})
export const sessionPageSchema = z.object({
  sessions: z.array(sessionSummarySchema),
  next: z.string().nullable(),
})

export const eventQuerySchema = z.object({
  /** Events with a greater `seq` only. */
  after: z.coerce.number().int().min(0).default(0),
  limit: z.coerce.number().int().min(1).max(1000).default(500),
})
/** Refused unless this is the turn that is worked on. */
export const interruptQuerySchema = z.object({ turnId: turnIdSchema.optional() })
/** Read on after `through`; it may be later than the last event, since unknown types are skipped. */
export const eventPageSchema = z.object({
  events: z.array(eventSchema),
  through: z.int(),
  more: z.boolean(),
})
export type EventPage = z.infer<typeof eventPageSchema>

export const newMessageSchema = z.object({
  text: promptSchema,
  kind: turnKindSchema.default('agent'),
  turnId: chosenTurnIdSchema,
})
export type NewMessage = z.input<typeof newMessageSchema>
export const messageAcceptedSchema = z.object({ turnId: turnIdSchema })
export const answerBodySchema = answerSchema
export type AnswerBody = z.input<typeof answerBodySchema>
export const sessionPatchSchema = z.object({
  title: nameSchema(200).optional(),
  mode: modeSchema.optional(),
  model: z.string().min(1).max(100).nullable().optional(),
  /** Holds within two seconds, also for connections that are open. */
  network: networkPolicySchema.optional(),
})
export type SessionPatch = z.infer<typeof sessionPatchSchema>

/** Without a host: what the repository asks to reach. */
export const allowBodySchema = z.object({
  scope: allowScopeSchema,
  host: domainPatternSchema.optional(),
})

/** Which of the session's repositories, by name; the main one when absent. */
export const diffQuerySchema = z.object({ repository: repositoryNameSchema.optional() })

export const fileChangeSchema = z.object({
  path: z.string(),
  /** Where it was, when it was renamed. */
  oldPath: z.string().nullable(),
  status: z.enum(['added', 'modified', 'deleted', 'renamed']),
  binary: z.boolean(),
  insertions: z.int(),
  deletions: z.int(),
})
export const diffSchema = z.object({
  base: z.string(),
  /** The tip of the session's branch; equal to `base` while nothing was pushed. */
  head: z.string(),
  files: z.array(fileChangeSchema),
  insertions: z.int(),
  deletions: z.int(),
  commits: z.array(
    z.object({ id: z.string(), subject: z.string(), author: z.string(), at: z.string() }),
  ),
  /** Unified diff; cut when `truncated`. */
  patch: z.string(),
  truncated: z.boolean(),
})
export type Diff = z.infer<typeof diffSchema>

export const newUploadSchema = z.object({ name: z.string().min(1).max(100) })
export const uploadSchema = z.object({
  id: uploadIdSchema,
  /** Path of the git repository to push to, below the server's address. */ gitPath: z.string(),
})

export type NewUpload = z.input<typeof newUploadSchema>

/** The variables as `.env` lines, in place of `variables`. */
const variablesTextSchema = z
  .string()
  .max(1 << 20)
  .optional()
const environmentNameSchema = nameSchema(80)
export const newEnvironmentSchema = environmentFieldsSchema.extend({
  name: environmentNameSchema,
  variablesText: variablesTextSchema,
})
export type NewEnvironment = z.input<typeof newEnvironmentSchema>
/** Without the defaults of a new one: what is absent stays as it is. */
export const environmentPatchSchema = z.object({
  name: environmentNameSchema.optional(),
  image: imageSchema.optional(),
  network: networkPolicySchema.optional(),
  variables: variablesSchema.optional(),
  variablesText: variablesTextSchema,
  setup: setupSchema.optional(),
  setupInputs: setupInputsSchema.optional(),
  limits: limitsSchema.optional(),
  traffic: trafficLimitsSchema.optional(),
  git: gitSettingsSchema.optional(),
})
export type EnvironmentPatch = z.input<typeof environmentPatchSchema>
/** What was saved, and which of its variables look like secrets, which the agent could read. */
export const environmentSavedSchema = environmentSchema.extend({
  hints: z.array(secretHintSchema),
})
export type EnvironmentSaved = z.infer<typeof environmentSavedSchema>
/** The copy's name is made from the other's when absent. */
export const environmentCopySchema = z.object({
  name: environmentNameSchema.optional(),
})
/** `repository` is its URL; null: for every repository that has none of its own. `environment` null: forget it. */
export const environmentDefaultSchema = z.object({
  repository: z.string().min(1).max(2048).nullable().default(null),
  environment: environmentIdSchema.nullable(),
})
export type EnvironmentDefault = z.input<typeof environmentDefaultSchema>
export const environmentDefaultsSchema = z.object({
  /** For repositories that have none of their own. */
  environment: environmentIdSchema,
  repositories: z.array(z.object({ repository: z.string(), environment: environmentIdSchema })),
})
export type EnvironmentDefaults = z.infer<typeof environmentDefaultsSchema>
export const environmentListSchema = z.object({ environments: z.array(environmentSchema) })
/** How many layers the next sessions make anew. */
export const rebuiltSchema = z.object({ layers: z.int() })
export const environmentListQuerySchema = z.object({ archived: flagSchema.default(false) })

export const newUserSchema = z.object({ name: nameSchema(80), email: z.email() })
export const userSchema = z.object({
  id: z.string(),
  name: z.string(),
  email: z.string(),
  role: z.enum(['owner', 'member']),
})
export type NewUser = z.input<typeof newUserSchema>
export type User = z.infer<typeof userSchema>
export const userListSchema = z.object({ users: z.array(userSchema) })
/** Works once, until it expires. */
export const loginLinkSchema = z.object({ url: z.url(), expiresAt: z.string() })
export type LoginLink = z.infer<typeof loginLinkSchema>
export const userCreatedSchema = z.object({ user: userSchema, loginLink: loginLinkSchema })

/** A bearer token for CLI and API. Its secret is shown once, when it is made. */
export const newTokenSchema = z.object({ name: nameSchema(32) })
export const tokenSchema = z.object({
  id: z.string(),
  name: z.string(),
  /** The first characters, to tell tokens apart. */
  start: z.string(),
  createdAt: z.string(),
  lastUsedAt: z.string().nullable(),
})
export type Token = z.infer<typeof tokenSchema>
export const tokenListSchema = z.object({ tokens: z.array(tokenSchema) })
export const tokenCreatedSchema = tokenSchema.extend({ secret: z.string() })
export type TokenCreated = z.infer<typeof tokenCreatedSchema>

export const installationSchema = z.object({
  version: z.string(),
  user: userSchema,
  model: z.enum(['live', 'scripted', 'missing']),
  isolation: z.string(),
  drivers: z.array(z.string()),
  /** Sandboxes that are started ahead: how many wait now, and how many there should be. */
  standbys: z.object({ ready: z.int(), wanted: z.int() }),
})

export type Installation = z.infer<typeof installationSchema>

export const errorBodySchema = z.object({
  error: z.object({
    code: z.enum(Object.keys(ERROR_CODES) as [ErrorCode, ...ErrorCode[]]),
    reason: z.string(),
    message: z.string(),
  }),
})

/** What the level `trusted` allows: hosts by group, and the registries that an environment's image is set up for. */
export const trustedHostsSchema = z.object({
  environment: z.string(),
  groups: z.array(
    z.object({ group: z.string(), reason: z.string(), domains: z.array(z.string()) }),
  ),
  registries: z.array(registrySchema),
})
export type TrustedHosts = z.infer<typeof trustedHostsSchema>
/** Id or name; the default one when absent. */
export const trustedHostsQuerySchema = z.object({
  environment: z.string().min(1).max(80).optional(),
})

/** Sent on the live stream beside events, without an id: text that is being written. Replaced by the stored message. */
export const deltaSchema = z.object({ turnId: turnIdSchema, text: z.string() })
export type Delta = z.infer<typeof deltaSchema>
