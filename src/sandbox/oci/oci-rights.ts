// What the oci driver does in one way as root and in another as an ordinary user; everything else is the same for both.
// Here the interface and root's way. See rootless-rights.ts for the other.
import { chmod, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { createDiskMaker, repairDisk, waitUntilUnmounted } from '../disks/disk-image.ts'
import { copyShifted, shiftOwners } from '../disks/owner-shift.ts'
import { readIfThere } from '../files.ts'
import { type CgroupFeatures, detectCgroups } from './cgroups.ts'
import {
  allocateRange,
  type IdRange,
  parseSubordinateIds,
  placeOf,
  RANGE_SIZE,
} from './id-ranges.ts'
import { TOOLS_ENV } from './launch-plan.ts'
import type { LayerPaths, SandboxPaths } from './oci-paths.ts'

/** The unit of `blocks`, whatever the file system. */
const BLOCK_BYTES = 512

/** Where a sandbox's files lie and its root is mounted. */
interface Ground {
  /** Holds the overlay's upper and work folder. */
  writable: string
  root: string
  /** Lines of the plan that come first. */
  begin: string[][]
  overlayOptions: string
}

export interface Rights {
  cgroups: CgroupFeatures
  /** Whether a mount can show files with other owners. */
  mayShift: boolean
  /** There are so few ranges of ids that a copy of an image that belongs to one is kept for the next sandbox. */
  hasFewRanges: boolean
  isolation: { line: string; doesNotHold: string[] }
  env: Record<string, string>
  /** Before the verb of the runtime. */
  runtimeOptions: string[]
  /** The start of a range of ids, given those of all sandboxes and of all copies of images. */
  allocate(sandboxes: number[], copies: IdRange[]): Promise<number>
  copyOwned(source: string, target: string, base: number, signal?: AbortSignal): Promise<void>
  /** In place. */
  own(path: string, base: number): Promise<void>
  /** Deletes also what belongs to the ids of sandboxes. */
  removeTree(path: string): Promise<void>
  makeDisk(paths: SandboxPaths, bytes: number, signal?: AbortSignal): Promise<void>
  repairDisk(paths: SandboxPaths, signal: AbortSignal): Promise<void>
  /** Bytes; where the disk is a folder that no file system limits. */
  measureDisk?(paths: SandboxPaths): Promise<number>
  ground(paths: SandboxPaths): Ground
  /** Lines of the plan that show a kept layer, read-only and with the owners that it was made with, and where. */
  layerGround(layer: LayerPaths, mount: string): { begin: string[][]; upper: string }
  /** Moves what was written in a sandbox that has ended. */
  moveFiles(paths: SandboxPaths, layer: LayerPaths): Promise<void>
  measureLayer(layer: LayerPaths): Promise<number>
  /** Resolves when nothing of a sandbox that has ended is mounted any more. */
  settle(paths: SandboxPaths, limitMs: number): Promise<void>
}

export async function openRootRights(dataDir: string): Promise<Rights> {
  const makeDisk = createDiskMaker()
  const place = placeOf(await stat(dataDir))
  return {
    cgroups: await detectCgroups(),
    mayShift: true,
    hasFewRanges: false,
    isolation: { line: '', doesNotHold: [] },
    env: TOOLS_ENV,
    runtimeOptions: [],
    allocate: async (sandboxes, copies) => {
      const own = sandboxes.map((start) => ({ start, size: RANGE_SIZE }))
      const texts = await Promise.all(['/etc/subuid', '/etc/subgid'].map(readIfThere))
      const users = texts.flatMap((text) => parseSubordinateIds(text ?? ''))
      return allocateRange([...own, ...users, ...copies], place)
    },
    copyOwned: copyShifted,
    own: shiftOwners,
    removeTree: (path) => rm(path, { recursive: true, force: true }),
    makeDisk: ({ disk }, bytes, signal) => makeDisk(disk, bytes, signal),
    repairDisk: ({ disk }, signal) => repairDisk(disk, signal),
    ground: ({ disk, diskMount, root }) => ({
      writable: diskMount,
      root,
      begin: [['disk', disk, diskMount]],
      overlayOptions: '',
    }),
    layerGround: ({ disk }, mount) => ({
      begin: [['disk', disk, mount, 'ro']],
      upper: join(mount, 'upper'),
    }),
    moveFiles: async ({ disk }, layer) => {
      await rename(disk, layer.disk)
      await chmod(layer.disk, 0o400)
    },
    measureLayer: async ({ disk }) => (await stat(disk)).blocks * BLOCK_BYTES,
    settle: ({ disk }, limitMs) => waitUntilUnmounted(disk, limitMs),
  }
}
