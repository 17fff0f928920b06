// Layers that are kept: what was written in a sandbox that has ended, as a read-only lower folder of later ones. A layer is
// the disk of that sandbox (a folder without root), moved and never walked: whatever lies in it is read through mounts only.
import { mkdir, readdir } from 'node:fs/promises'
import { z } from 'zod'
import { isAlive } from '../../lib/process-identity.ts'
import { AppError } from '../../protocol/errors.ts'
import { layerIdSchema } from '../../protocol/ids.ts'
import type { KeptLayer } from '../driver.ts'
import { exists, orWhenMissing, parseAs, readIfThere, writeWhole } from '../files.ts'
import { type IdRange, RANGE_SIZE } from '../oci/id-ranges.ts'
import { type Oci, readAllClaims } from '../oci/oci-context.ts'
import { type LayerPaths, layerPaths, layersFolder, type SandboxPaths } from '../oci/oci-paths.ts'
import { readRecord, readRun } from '../oci/oci-record.ts'

const layerRecordSchema = z.object({
  /** The ids that own its files. */
  uidBase: z.int(),
  bytes: z.int(),
})
type LayerRecord = z.infer<typeof layerRecordSchema>

const REPAIR_LIMIT_MS = 60_000

/** Repeated after a crash it goes on where it was; `reap` ends what is left of the sandbox first. */
export async function keepLayer(
  oci: Oci,
  paths: SandboxPaths,
  { layerId, reap }: { layerId: string; reap: () => Promise<void> },
): Promise<KeptLayer> {
  const layer = layerPaths(oci.config, layerId)
  const kept = await readLayer(layer)
  if (kept) return { layerId, bytes: kept.bytes }
  const record = await readRecord(paths)
  const run = await readRun(paths)
  if (!record || !run)
    throw new AppError('not_found', 'sandbox_missing', 'There is no sandbox that has run')
  if (await isAlive(run))
    throw new AppError('conflict', 'sandbox_running', 'A sandbox that runs makes no layer')
  await reap()
  await mkdir(layer.folder, { recursive: true, mode: 0o700 })
  if (!(await hasFiles(layer))) {
    await oci.rights.repairDisk(paths, AbortSignal.timeout(REPAIR_LIMIT_MS))
    await oci.rights.moveFiles(paths, layer)
  }
  const bytes = await oci.rights.measureLayer(layer)
  await writeWhole(layer.record, JSON.stringify({ uidBase: record.uidBase, bytes }))
  return { layerId, bytes }
}

export async function listLayers(oci: Oci): Promise<KeptLayer[]> {
  const layers = await readAll(oci)
  return layers.map(({ layerId, bytes }) => ({ layerId, bytes }))
}

/** To be called while no sandbox is given layers. */
export async function removeLayer(oci: Oci, layerId: string): Promise<void> {
  const layer = layerPaths(oci.config, layerId)
  const claims = await readAllClaims(oci)
  if (claims.some(({ kept }) => kept.some((one) => one.layerId === layerId)))
    throw new AppError('conflict', 'layer_in_use', 'A sandbox is made from this layer')
  await oci.rights.removeTree(layer.record)
  await oci.rights.removeTree(layer.folder)
}

/** Takes away what was begun and never finished, or whose record is damaged; a sandbox keeps what it is made from all the same. */
export async function removeUnfinished(oci: Oci): Promise<void> {
  const claims = await readAllClaims(oci)
  const used = new Set(claims.flatMap(({ kept }) => kept.map(({ layerId }) => layerId)))
  for (const layerId of await listIds(oci)) {
    const layer = layerPaths(oci.config, layerId)
    if (!used.has(layerId) && !(await readLayer(layer))) await oci.rights.removeTree(layer.folder)
  }
}

/** With the ids that own their files. */
export async function findLayers(oci: Oci, layerIds: string[]) {
  return await Promise.all(
    layerIds.map(async (layerId) => {
      const kept = await readLayer(layerPaths(oci.config, layerId))
      if (!kept) throw new AppError('unavailable', 'layer_missing', 'This layer is gone')
      return { layerId, uidBase: kept.uidBase }
    }),
  )
}

/** Where owners cannot be shown otherwise, a sandbox on a layer shares the ids of it: nobody else is to have them. */
export async function rangesOfLayers(oci: Oci): Promise<IdRange[]> {
  return (await readAll(oci)).map(({ uidBase }) => ({ start: uidBase, size: RANGE_SIZE }))
}

async function readAll(oci: Oci) {
  const layers = await Promise.all(
    (await listIds(oci)).map(async (layerId) => {
      const record = await readLayer(layerPaths(oci.config, layerId))
      return record && { layerId, ...record }
    }),
  )
  return layers.filter((layer) => layer !== undefined)
}

async function listIds({ config }: Oci): Promise<string[]> {
  const names = await orWhenMissing<string[]>([], readdir(layersFolder(config.dataDir)))
  return names.filter((name) => layerIdSchema.safeParse(name).success)
}

async function hasFiles({ disk, files }: LayerPaths): Promise<boolean> {
  return (await exists(disk)) || (await exists(files))
}

/** One whose record cannot be read is none: it can be made again. */
async function readLayer({ record }: LayerPaths): Promise<LayerRecord | undefined> {
  return parseAs(layerRecordSchema, await readIfThere(record))
}
