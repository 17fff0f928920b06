// What a sandbox is asked to be: the argument of `create`. No product feature belongs here; what the runner needs to know
// travels unread in `sessionFile`.
import { z } from 'zod'
import { imageNameSchema } from '../protocol/environment.ts'
import { layerIdSchema, sessionIdSchema } from '../protocol/ids.ts'
import { MAX_BEFORE_RUNNER_BYTES } from '../protocol/process-one.ts'

const MIB = 1 << 20
const MAX_SESSION_FILE_BYTES = 64 << 10

const absolutePath = z
  .string()
  .max(4096)
  .regex(/^\/[^\0\n]*$/, 'not an absolute path')

export const sandboxImageSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('host') }),
  z.strictObject({ kind: z.literal('rootfs'), path: absolutePath }),
  z.strictObject({ kind: z.literal('named'), name: imageNameSchema }),
])
export type SandboxImage = z.infer<typeof sandboxImageSchema>

export const imageIdentitySchema = z.object({ identity: z.string().max(200) })

const sandboxLimitsSchema = z.strictObject({
  memoryBytes: z.int().min(64 * MIB),
  cpus: z.number().min(0.1).max(1024),
  processes: z.int().min(16).max(4_000_000),
  diskBytes: z.int().min(64 * MIB),
})
export type SandboxLimits = z.infer<typeof sandboxLimitsSchema>

export const sandboxSpecSchema = z.strictObject({
  sessionId: sessionIdSchema,
  image: sandboxImageSchema,
  /** Kept layers that lie over the image, the topmost first. */
  layers: z.array(layerIdSchema).max(4).default([]),
  limits: sandboxLimitsSchema,
  /** Put at SANDBOX_PATHS.session, read-only; holds no secret, since everything inside may read it. */
  sessionFile: z
    .string()
    .refine((text) => Buffer.byteLength(text) <= MAX_SESSION_FILE_BYTES, 'over 64 KiB'),
  /** Put at SANDBOX_PATHS.beforeRunner, read-only: a text for /bin/sh, as PROCESS_ONE expects it. */
  beforeRunner: z
    .string()
    .refine((text) => Buffer.byteLength(text) <= MAX_BEFORE_RUNNER_BYTES, 'over 64 KiB')
    .default(''),
  hostname: z.string().regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'not a host name'),
})
export type SandboxSpec = z.infer<typeof sandboxSpecSchema>
