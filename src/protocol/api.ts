// Bodies of the HTTP API under /api/v1. The routes, the OpenAPI document, the CLI and the page share these schemas.
import { z } from 'zod'
import { environmentFieldsSchema, networkPolicySchema } from './environment.ts'
import { credentialIdSchema, sessionIdSchema, turnIdSchema, uploadIdSchema } from './ids.ts'
import {
  answerSchema,
  modeSchema,
  promptSchema,
  sessionStateSchema,
  turnKindSchema,
} from './session.ts'

/** Where to work. A URL with user and password in it is taken apart: the password is kept sealed and never shown. */
export const newSourceSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('remote'), url: z.string().min(1).max(2048) }),
  z.object({ kind: z.literal('upload'), uploadId: uploadIdSchema }),
  z.object({ kind: z.literal('session'), sessionId: sessionIdSchema }),
])

export const newSessionSchema = z.object({
  prompt: promptSchema,
  kind: turnKindSchema.default('agent'),
  source: newSourceSchema,
  /** Branch or commit to start from; the default branch when absent. */
  baseBranch: z.string().min(1).max(250).nullable().default(null),
  title: z.string().trim().min(1).max(200).optional(),
  /** Id or name; `Default` when absent. */
  environment: z.string().min(1).max(80).optional(),
  /** Replaces the environment's network policy for this session. */
  network: networkPolicySchema.optional(),
  driver: z.string().min(1).max(40).optional(),
  mode: modeSchema.default('work'),
  model: z.string().min(1).max(100).nullable().default(null),
})
export type NewSession = z.input<typeof newSessionSchema>

export const sessionSummarySchema = sessionStateSchema
  .pick({
    id: true,
    title: true,
    status: true,
    createdAt: true,
    updatedAt: true,
    lastSeq: true,
    repository: true,
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
    queued: z.int(),
  })
export type SessionSummary = z.infer<typeof sessionSummarySchema>

export const newMessageSchema = z.object({
  text: promptSchema,
  kind: turnKindSchema.default('agent'),
})
export const messageAcceptedSchema = z.object({ turnId: turnIdSchema })
export const answerBodySchema = answerSchema
export const sessionPatchSchema = z.object({
  title: z.string().trim().min(1).max(200).optional(),
  mode: modeSchema.optional(),
  model: z.string().min(1).max(100).nullable().optional(),
})

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

export const newUploadSchema = z.object({
  name: z.string().min(1).max(100),
  origin: z.string().max(2048).nullable().default(null),
})
export const uploadSchema = z.object({
  id: uploadIdSchema,
  /** Path of the git repository to push to, below the server's address. */ gitPath: z.string(),
})

export const newEnvironmentSchema = environmentFieldsSchema

export const newCredentialSchema = z.object({
  host: z.string().min(1).max(253),
  kind: z.enum(['https', 'ssh']).default('https'),
  username: z.string().max(255).default(''),
  secret: z.string().min(1).max(65_536),
})
export const credentialSchema = z.object({
  id: credentialIdSchema,
  host: z.string(),
  kind: z.enum(['https', 'ssh']),
  username: z.string(),
  createdAt: z.string(),
})

export const newUserSchema = z.object({ name: z.string().trim().min(1).max(80), email: z.email() })
export const userSchema = z.object({
  id: z.string(),
  name: z.string(),
  email: z.string(),
  role: z.enum(['owner', 'member']),
})
export const loginLinkSchema = z.object({ url: z.url(), expiresAt: z.string() })

export const installationSchema = z.object({
  version: z.string(),
  user: userSchema,
  model: z.enum(['live', 'scripted', 'missing']),
  isolation: z.string(),
  drivers: z.array(z.string()),
})

/** Sent on the live stream beside events, without an id: text that is being written. Replaced by the stored message. */
export const deltaSchema = z.object({ turnId: turnIdSchema, text: z.string() })
