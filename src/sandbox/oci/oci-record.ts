// What the oci driver keeps on disk about each sandbox, so that a new sandboxd knows everything that an old one knew.
import { readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import type { ProcessIdentity } from '../../lib/process-identity.ts'
import { AppError } from '../../protocol/errors.ts'
import { layerIdSchema, sessionIdSchema } from '../../protocol/ids.ts'
import { sandboxExitSchema } from '../driver.ts'
import { exists, orWhenMissing, parseAs, readIfThere, writeWhole } from '../files.ts'
import { sandboxSpecSchema } from '../spec.ts'
import type { SandboxPaths } from './oci-paths.ts'

const recordSchema = z.object({
  /** Without the session file, which lies beside it. */
  spec: sandboxSpecSchema,
  uidBase: z.int(),
  /** The image's layers, the topmost first. */
  layers: z.array(z.string()),
  /** Layers made in other sandboxes, the topmost first, with the ids that own their files on their disks. */
  kept: z.array(z.object({ layerId: layerIdSchema, uidBase: z.int() })).default([]),
  /** The layers belong to the range of ids as they lie there, and need no mount that shows them so. */
  shifted: z.boolean(),
})
export type SandboxRecord = z.infer<typeof recordSchema>

const runSchema = z.object({
  pid: z.int(),
  startTicks: z.string(),
  bootId: z.string(),
  startedAt: z.iso.datetime(),
}) satisfies z.ZodType<ProcessIdentity>
export type SandboxRun = z.infer<typeof runSchema>

/** What every form of the record has told, so that nobody else's range or layer is taken even where the rest is foreign. */
const claimsSchema = recordSchema.pick({ uidBase: true, layers: true, kept: true })
export type SandboxClaims = z.infer<typeof claimsSchema>

/**
 * Undefined when there is no such sandbox; one that cannot be read is an error, so that nobody takes it for absent. What is
 * no JSON was cut off, as by a failure of power; a foreign one may be read by another version of Errand.
 */
export async function readRecord(paths: SandboxPaths): Promise<SandboxRecord | undefined> {
  const text = await readIfThere(paths.record)
  const record = parseAs(recordSchema, text)
  if (text === undefined) return undefined
  if (record) return await relocate(paths, record)
  const reason = parseAs(z.unknown(), text) === undefined ? 'record_damaged' : 'record_unreadable'
  throw new AppError('internal', reason, 'The record of this sandbox is not readable')
}

export async function readClaims(paths: SandboxPaths): Promise<SandboxClaims | undefined> {
  const claims = parseAs(claimsSchema, await readIfThere(paths.record))
  return claims && (await relocate(paths, claims))
}

/** What Errand keeps of images below its data folder, and of a sandbox. */
const BELOW_DATA =
  /\/(images\/layers\/[^/]+|images\/named\/[^/]+\/[^/]+\/rootfs|sandboxes\/[^/]+\/[^/]+)$/

/** The data folder may have been moved since, or be shown elsewhere: then what lay below it is found beside the sandbox. */
async function relocate<T extends SandboxClaims>(paths: SandboxPaths, claims: T): Promise<T> {
  const dataDir = dirname(dirname(paths.kept))
  const layers = claims.layers.map(async (layer) => {
    const [, below] = BELOW_DATA.exec(layer) ?? []
    if (below === undefined || (await exists(layer))) return layer
    const moved = join(dataDir, below)
    return (await exists(moved)) ? moved : layer
  })
  return { ...claims, layers: await Promise.all(layers) }
}

export async function writeRecord(paths: SandboxPaths, record: SandboxRecord): Promise<void> {
  await writeWhole(paths.record, JSON.stringify(record))
}

export async function readExit(paths: SandboxPaths) {
  return parseAs(sandboxExitSchema, await readIfThere(paths.lastExit))
}

export async function readRun(paths: SandboxPaths): Promise<SandboxRun | undefined> {
  return parseAs(runSchema, await readIfThere(paths.lastRun))
}

/** The ids of all sandboxes, half-made ones included. */
export async function listSessionIds(folder: string): Promise<string[]> {
  const names = await orWhenMissing([], readdir(folder))
  return names.filter((name) => sessionIdSchema.safeParse(name).success)
}
