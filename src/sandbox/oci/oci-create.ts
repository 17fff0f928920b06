// Prepares a sandbox on disk: its range of ids, its layers, its disk. Nothing runs and nothing is mounted afterwards.
// The record is written last: without it a sandbox does not exist, whatever lies in its folder.
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { orAborted } from '../../lib/deadline.ts'
import { AppError } from '../../protocol/errors.ts'
import { findLayers, rangesOfLayers } from '../disks/kept-layers.ts'
import { exists, readIfThere, writeWhole } from '../files.ts'
import { writeLayer } from '../images/layer.ts'
import { sessionEntries } from '../images/made-etc.ts'
import type { SandboxSpec } from '../spec.ts'
import { type Oci, readAllClaims } from './oci-context.ts'
import type { SandboxPaths } from './oci-paths.ts'
import { readRecord, type SandboxRecord, writeRecord } from './oci-record.ts'

type Ownership = Pick<SandboxRecord, 'uidBase' | 'layers' | 'shifted'>
type Kept = SandboxRecord['kept']

export async function createSandbox(
  oci: Oci,
  paths: SandboxPaths,
  spec: SandboxSpec,
  signal: AbortSignal,
): Promise<void> {
  const known = await readRecord(paths)
  if (known) {
    // It keeps the layers that it was made from, whatever would be taken now.
    const { layers } = known.spec
    if (isDeepStrictEqual(known.spec, withoutFiles({ ...spec, layers }))) {
      // What a runner is told is no property of the sandbox: the next start shows it.
      await writeFiles(paths, spec)
      return
    }
    throw new AppError('conflict', 'sandbox_differs', 'This sandbox exists with other properties')
  }
  // Images belong to all sandboxes: the work on one goes on when this sandbox is not wanted any more.
  const layers = await orAborted(
    oci.serialize('images', () => oci.images.prepare(spec.image)),
    signal,
  )
  await oci.rights.removeTree(paths.kept)
  await mkdir(paths.kept, { mode: 0o700 })
  await Promise.all([
    oci.rights.makeDisk(paths, spec.limits.diskBytes, signal),
    writeLayer(paths.layer, sessionEntries(spec.hostname)),
    writeFiles(paths, spec),
  ])
  const recorded = oci.serialize('id ranges', async () => {
    signal.throwIfAborted()
    const kept = await findLayers(oci, spec.layers)
    const ownership = (await isMountable(oci, layers))
      ? { uidBase: await allocate(oci), layers, shifted: false }
      : await ownByCopy(oci, paths, { layers, kept, signal })
    signal.throwIfAborted()
    await writeRecord(paths, { spec: withoutFiles(spec), kept, ...ownership })
    await refuseReplaced(oci, paths, ownership.layers)
  })
  await orAborted(recorded, signal)
}

/** Who took the image away before this was recorded knew of no sandbox that is made of it. */
async function refuseReplaced(oci: Oci, paths: SandboxPaths, layers: string[]): Promise<void> {
  const found = await Promise.all(layers.map(exists))
  if (found.every(Boolean)) return
  await oci.rights.removeTree(paths.record)
  const message = 'The image was replaced or removed while a sandbox was made of it.'
  throw new AppError('unavailable', 'image_replaced', message)
}

function withoutFiles(spec: SandboxSpec): SandboxSpec {
  return { ...spec, sessionFile: '', beforeRunner: '' }
}

async function writeFiles(paths: SandboxPaths, spec: SandboxSpec): Promise<void> {
  for (const file of ['sessionFile', 'beforeRunner'] as const)
    if ((await readIfThere(paths[file])) !== spec[file])
      await writeWhole(paths[file], spec[file], 0o644)
}

/**
 * The layer that Errand made is small and copied for each sandbox, unless its ids come again soon; a root file system is
 * copied once for all of them.
 */
async function ownByCopy(
  oci: Oci,
  paths: SandboxPaths,
  { layers, kept, signal }: { layers: string[]; kept: Kept; signal: AbortSignal },
): Promise<Ownership> {
  const { images, rights } = oci
  const [made = '', root] = layers
  const owned = root ? await images.findOwned(root) : undefined
  // The files of a kept layer stay those of the ids that made them: the sandbox takes these.
  const uidBase = ownerOf(kept) ?? owned?.start ?? (await allocate(oci))
  const copy = join(paths.kept, 'made-layer')
  if (!rights.hasFewRanges) await rights.copyOwned(made, copy, uidBase, signal)
  const top = rights.hasFewRanges ? await images.own(made, uidBase) : copy
  await rights.own(paths.layer, uidBase)
  const below = root ? [await images.own(root, uidBase)] : []
  return { uidBase, layers: [top, ...below], shifted: true }
}

function ownerOf(kept: Kept): number | undefined {
  const [owner, ...others] = new Set(kept.map(({ uidBase }) => uidBase))
  if (others.length > 0)
    throw new AppError('unsupported', 'layers_differ', 'These layers belong to different users')
  return owner
}

async function isMountable(oci: Oci, layers: string[]): Promise<boolean> {
  const answers = await Promise.all(layers.map(oci.canShift))
  return answers.every(Boolean)
}

async function allocate(oci: Oci): Promise<number> {
  const claims = await readAllClaims(oci)
  const taken = claims.map(({ uidBase }) => uidBase)
  const copies = await Promise.all([oci.images.ownedRanges(), rangesOfLayers(oci)])
  return await oci.rights.allocate(taken, copies.flat())
}
