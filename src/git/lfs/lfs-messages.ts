// The part of Git LFS that the door speaks: the batch API with basic transfers (git-lfs docs/api), and what a request means.
import { z } from 'zod'

const OID = '[0-9a-f]{64}'
const oidSchema = z.string().regex(new RegExp(`^${OID}$`))
const LFS_PATH = new RegExp(`/info/lfs/objects/(?:(batch)|(${OID})(/verify)?)$`)

/** `read` and `write` move one object, whose batch was answered before. */
export type LfsRequest = { what: 'batch' } | { what: 'read' | 'write' | 'verify'; oid: string }

/** Undefined for what is no request of LFS: locks among it, which git-lfs does without. */
export function parseLfsRequest(method: string, pathname: string): LfsRequest | undefined {
  const [, batch, oid = '', verify] = LFS_PATH.exec(pathname) ?? []
  if (batch) return method === 'POST' ? { what: 'batch' } : undefined
  if (oid === '') return undefined
  if (verify) return method === 'POST' ? { what: 'verify', oid } : undefined
  if (method === 'GET') return { what: 'read', oid }
  return method === 'PUT' ? { what: 'write', oid } : undefined
}

export function lfsPath(request: LfsRequest): string {
  if (request.what === 'batch') return 'info/lfs/objects/batch'
  const verify = request.what === 'verify' ? '/verify' : ''
  return `info/lfs/objects/${request.oid}${verify}`
}

export const LFS_TYPE = 'application/vnd.git-lfs+json'

const objectSchema = z.object({ oid: oidSchema, size: z.int().min(0) })
export type LfsObject = z.infer<typeof objectSchema>

export const batchRequestSchema = z.object({
  operation: z.enum(['download', 'upload']),
  transfers: z.array(z.string().max(100)).max(20).default(['basic']),
  ref: z.object({ name: z.string().max(1000) }).nullish(),
  hash_algo: z.literal('sha256').default('sha256'),
  objects: z.array(objectSchema).max(1000),
})
export type BatchRequest = z.infer<typeof batchRequestSchema>

const actionSchema = z.object({
  href: z.url({ protocol: /^https?$/ }).max(8192),
  header: z.record(z.string().max(200), z.string().max(8192)).default({}),
})
export type LfsAction = z.infer<typeof actionSchema>

export const batchAnswerSchema = z.object({
  transfer: z.literal('basic').default('basic'),
  objects: z.array(
    objectSchema.extend({
      actions: z
        .object({
          download: actionSchema.optional(),
          upload: actionSchema.optional(),
          verify: actionSchema.optional(),
        })
        .optional(),
      error: z.object({ code: z.int(), message: z.string() }).optional(),
    }),
  ),
})
export type BatchAnswer = z.infer<typeof batchAnswerSchema>
