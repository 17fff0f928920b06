// What gitd is asked and what it answers on its control socket.
import { z } from 'zod'
import { setupInputsSchema } from '../protocol/environment.ts'
import { sessionIdSchema, uploadIdSchema } from '../protocol/ids.ts'
import {
  accessSchema,
  outwardSchema,
  type PushGrants,
  pushGrantsSchema,
  repositoryNameSchema,
} from '../protocol/session.ts'
import type { LfsRequest } from './lfs/lfs-messages.ts'
import { upstreamCredentialSchema } from './upstream/credential.ts'

export type GitService = 'git-upload-pack' | 'git-receive-pack'

/** Set by a caller that may push to the session's branch: to what else, as `encodeGrants` writes it. */
export const PUSH_HEADER = 'x-errand-push'

export function encodeGrants(grants: PushGrants): string {
  return Buffer.from(JSON.stringify(grants)).toString('base64')
}

/** Undefined when nothing may be pushed: also for what is no such header. */
export function decodeGrants(header: string | string[] | undefined): PushGrants | undefined {
  if (typeof header !== 'string') return undefined
  try {
    return pushGrantsSchema.parse(JSON.parse(Buffer.from(header, 'base64').toString('utf8')))
  } catch {
    return undefined
  }
}

/** The address of the repository as the caller sees it, for answers that hold addresses. */
export const BASE_HEADER = 'x-errand-base'

/** The address of the submodule that is asked for. */
export const SUBMODULE_HEADER = 'x-errand-submodule'

interface GitDoorPlace {
  /** `submodule`: of the session of that id; which one stands in a header. */
  kind: 'session' | 'upload' | 'submodule'
  id: string
  /** Of a session: which of its additional repositories; the main one without. */
  repository?: string
}

export interface LfsDoorRequest extends GitDoorPlace {
  lfs: LfsRequest
}

export interface GitDoorRequest extends GitDoorPlace {
  service: GitService
  /** `info/refs` rather than the service itself. */
  advertise: boolean
}

const commitIdSchema = z.string().regex(/^[0-9a-f]{40,64}$/)
const ownerIdSchema = z.string().min(1).max(200)

/** Which of a session's repositories: the main one, or by its name an additional one. */
const sessionRepositorySchema = z.object({
  sessionId: sessionIdSchema,
  repository: repositoryNameSchema.nullish(),
})

export const prepareRequestSchema = sessionRepositorySchema.extend({
  /** `read`: every push is refused, and no ref of the name of `branch` is made. */
  access: accessSchema.default('write'),
  ownerId: ownerIdSchema,
  source: z.discriminatedUnion('kind', [
    z.object({
      kind: z.literal('remote'),
      url: z.string().min(1).max(2048),
      credential: upstreamCredentialSchema.nullish(),
    }),
    z.object({
      kind: z.literal('upload'),
      uploadId: uploadIdSchema,
      /** Folder name of the checkout. */
      name: z
        .string()
        .regex(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$/)
        .nullish(),
    }),
    z.object({ kind: z.literal('session'), sessionId: sessionIdSchema }),
  ]),
  /** The branch that the session may push to. */
  branch: z.string(),
  /** A name that is taken gets a number instead of a refusal. */
  orNumbered: z.boolean().default(false),
  /** The default branch when neither this nor `commit` is given. */
  baseBranch: z.string().nullish(),
  commit: z.string().nullish(),
})
export type PrepareRequest = z.input<typeof prepareRequestSchema>

const preparedSessionSchema = z.object({
  branch: z.string(),
  commit: z.string(),
  baseBranch: z.string().nullable(),
  defaultBranch: z.string().nullable(),
  name: z.string(),
  /** `.errand/environment.yaml` at `commit`, cut at 64 KiB; null when there is none. */
  environmentFile: z.object({ text: z.string(), truncated: z.boolean() }).nullable(),
})
export type PreparedSession = z.infer<typeof preparedSessionSchema>

/** The lines of the answer to `prepare`: any number of the first, then one of the others. */
export const prepareLineSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('progress'), line: z.string() }),
  z.object({ type: z.literal('prepared'), session: preparedSessionSchema }),
  z.object({
    type: z.literal('failed'),
    error: z.object({ code: z.string(), reason: z.string(), message: z.string() }),
  }),
])
export type PrepareLine = z.infer<typeof prepareLineSchema>

export const sessionRequestSchema = sessionRepositorySchema
export type SessionRequest = z.input<typeof sessionRequestSchema>
export const removeSessionRequestSchema = z.object({ sessionId: sessionIdSchema })
export const uploadRequestSchema = z.object({ uploadId: uploadIdSchema })
export const createUploadRequestSchema = z.object({ ownerId: ownerIdSchema })
export const uploadSchema = z.object({ uploadId: uploadIdSchema, expiresAt: z.string() })
export type Upload = z.infer<typeof uploadSchema>

export const forwardRequestSchema = sessionRepositorySchema.extend({
  credential: upstreamCredentialSchema.nullish(),
  /** The branch may be rewritten upstream, where that loses nothing that was never here. */
  rewrite: z.boolean().default(false),
})
export type ForwardRequest = z.input<typeof forwardRequestSchema>

export const forwardedSchema = z.object({
  outward: outwardSchema,
  /** The tip of the session's branch; null when nothing was pushed yet. */
  commit: z.string().nullable(),
  reason: z.string().nullable(),
  message: z.string(),
})
export type Forwarded = z.infer<typeof forwardedSchema>

export const sessionRefsSchema = z.object({
  branch: z.string(),
  /** The tip of the session's branch; null when nothing was pushed yet. */
  tip: z.string().nullable(),
  /** The commit that the session started from. */
  start: z.string(),
  baseBranch: z.string().nullable(),
  refs: z.record(z.string(), z.string()),
})
export type SessionRefs = z.infer<typeof sessionRefsSchema>

export const submodulesRequestSchema = sessionRequestSchema.extend({
  /** Of a submodule that the session has read, at this commit; of the session's own repository when absent. */
  of: z
    .object({
      url: z.string().max(2048),
      credentialId: z.string().nullable(),
      commit: commitIdSchema,
    })
    .nullish(),
})
export type SubmodulesRequest = z.input<typeof submodulesRequestSchema>

export const submodulesSchema = z.object({
  /** What `.gitmodules` says, relative addresses too, and the commit that is pinned; null where the tree has none. */
  submodules: z.array(z.object({ url: z.string(), commit: commitIdSchema.nullable() })),
})
export type Submodules = z.infer<typeof submodulesSchema>

export const diffRequestSchema = sessionRepositorySchema.extend({
  /** Most bytes of the patch; 5 MB unless told. */
  maxBytes: z
    .int()
    .min(1)
    .max(64 << 20)
    .nullish(),
})
export type DiffRequest = z.input<typeof diffRequestSchema>

export const diffSchema = z.object({
  base: z.string(),
  /** Null when nothing was pushed yet; everything else is empty then. */
  commit: z.string().nullable(),
  patch: z.string(),
  /** The patch was longer and ends after the last file that is whole. */
  truncated: z.boolean(),
  files: z.array(
    z.object({
      path: z.string(),
      /** The path before a rename or copy. */
      from: z.string().nullable(),
      status: z.enum(['added', 'modified', 'deleted', 'renamed', 'copied', 'type-changed']),
      binary: z.boolean(),
      insertions: z.int(),
      deletions: z.int(),
    }),
  ),
  filesChanged: z.int(),
  insertions: z.int(),
  deletions: z.int(),
  /** Newest first. */
  commits: z.array(
    z.object({ id: z.string(), subject: z.string(), author: z.string(), at: z.string() }),
  ),
})
export type Diff = z.infer<typeof diffSchema>

export const filesRequestSchema = z.object({
  sessionId: sessionIdSchema,
  commit: commitIdSchema,
  paths: setupInputsSchema,
})
export type FilesRequest = z.infer<typeof filesRequestSchema>

export const repositoryFilesSchema = z.object({
  /** `data` in base64. */
  files: z.array(z.object({ path: z.string(), data: z.string() })),
})
export type RepositoryFiles = z.infer<typeof repositoryFilesSchema>

export const countFilesRequestSchema = z.object({
  sessionId: sessionIdSchema,
  commit: commitIdSchema,
  /** It is counted no further than this. */
  most: z.int().min(1).max(10_000_000),
})
export type CountFilesRequest = z.infer<typeof countFilesRequestSchema>

export const fileCountSchema = z.object({ files: z.int() })

export const nearestRequestSchema = z.object({
  sessionId: sessionIdSchema,
  commit: commitIdSchema,
  candidates: z.array(commitIdSchema).max(32),
})
export type NearestRequest = z.infer<typeof nearestRequestSchema>

export const nearestCommitSchema = z.object({
  /** Null when none of them will do; `changed` files lie between it and the commit. */
  nearest: z.object({ commit: z.string(), changed: z.int() }).nullable(),
})
export type NearestCommit = z.infer<typeof nearestCommitSchema>

export const acknowledgeRequestSchema = z.object({ n: z.int().min(0) })
