// What the verbs of the oci driver share: configuration, facts about the machine, images, and the order of work.
import { chmod, mkdir, readFile, realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { canShiftByMount } from '../disks/owner-shift.ts'
import { orWhenMissing } from '../files.ts'
import { createImages, type Images } from '../images/images.ts'
import { makeProgramsFolder } from '../images/programs-folder.ts'
import { openRootlessRights } from '../rootless/rootless-rights.ts'
import type { MakeConfig } from './oci-config.ts'
import type { LaunchContext, MakePlan } from './oci-launch.ts'
import { type OciFolders, runtimeStateFolder, sandboxesFolder, sandboxPaths } from './oci-paths.ts'
import { listSessionIds, readClaims, type SandboxClaims } from './oci-record.ts'
import { openRootRights, type Rights } from './oci-rights.ts'

export interface OciDriverConfig {
  dataDir: string
  runtimeDir: string
  /** Holds a folder with a socket for each session, made by the gateway. */
  doorsDir: string
  /** Paths on the host; the runner's is a folder. */
  programs: { node: string; runner: string; agent: string }
  /** Programs that are on PATH inside, by name; paths on the host. */
  tools: Record<string, string>
  /** runc, crun or runsc, by name or path. */
  runtime: string
  /** Images of kind `rootfs` have to lie below one of these. */
  rootfsDirs: string[]
  /** PEM files with authorities that the owner added. */
  extraCaFiles: string[]
  /** Whose registry settings count for the image `host`: root's home. */
  homeDir: string
  /** How images become the property of a sandbox's root; see owner-shift.ts. */
  ownerShift: 'auto' | 'mount' | 'copy'
  /** As an ordinary user, sandboxes may run where no limit can be set. */
  allowUnlimited: boolean
}

export interface Oci {
  config: OciDriverConfig
  rights: Rights
  images: Images
  machine: LaunchContext['machine']
  makeConfig: MakeConfig
  makePlan: MakePlan
  programsFolder: string
  /** Whether a mount can show the files of this folder with other owners. */
  canShift(path: string): Promise<boolean>
  /** Runs the work of one key one after the other, in the order of the calls. */
  serialize: Queues
}

export type Queues = <T>(key: string, work: () => Promise<T>) => Promise<T>

export async function openOci(
  given: OciDriverConfig,
  make: Pick<Oci, 'makeConfig' | 'makePlan'>,
): Promise<Oci> {
  const { runtimeDir } = given
  await mkdir(sandboxesFolder(given.dataDir), { recursive: true, mode: 0o700 })
  // The kernel names loop devices by the true path.
  const config = { ...given, dataDir: await realpath(given.dataDir) }
  // The root user of a sandbox passes through these on its way to its own root.
  for (const path of [runtimeDir, `${runtimeDir}/sandboxes`]) {
    await mkdir(path, { recursive: true })
    await chmod(path, 0o711)
  }
  await mkdir(runtimeStateFolder(runtimeDir), { recursive: true, mode: 0o700 })
  const isRoot = process.getuid?.() === 0
  const rights = isRoot ? await openRootRights(config.dataDir) : await openRootlessRights(config)
  const { arch } = process
  return {
    config,
    rights,
    images: createImages({ ...config, arch, rights }),
    machine: { arch, cgroups: rights.cgroups, maxOpenFiles: await readMaxOpenFiles() },
    ...make,
    programsFolder: await makeProgramsFolder(config.dataDir, Object.keys(config.tools)),
    canShift: rights.mayShift ? createShiftProbe(config) : async () => false,
    serialize: createQueues(),
  }
}

/** Asks the kernel once for each file system; what could not be asked, as where the machine had no process left, is asked again. */
export function createShiftProbe({
  ownerShift,
  runtimeDir,
}: Pick<OciDriverConfig, 'ownerShift' | 'runtimeDir'>) {
  const answers = new Map<number, Promise<boolean>>()
  return async (path: string) => {
    if (ownerShift !== 'auto') return ownerShift === 'mount'
    const { dev } = await stat(path)
    const answer = answers.get(dev) ?? canShiftByMount(path, join(runtimeDir, `probe-${dev}`))
    answers.set(dev, answer)
    answer.catch(() => answers.delete(dev))
    return await answer
  }
}

/** Ranges of ids and layers that belong to sandboxes. */
export async function readAllClaims({ config }: { config: OciFolders }): Promise<SandboxClaims[]> {
  const ids = await listSessionIds(sandboxesFolder(config.dataDir))
  const claims = await Promise.all(ids.map((id) => readClaims(sandboxPaths(config, id))))
  return claims.filter((claim) => claim !== undefined)
}

function createQueues(): Queues {
  const tails = new Map<string, Promise<unknown>>()
  return async (key, work) => {
    const before = tails.get(key)
    const result = before ? before.then(work) : work()
    const tail = result.then(
      () => undefined,
      () => undefined,
    )
    tails.set(key, tail)
    try {
      return await result
    } finally {
      if (tails.get(key) === tail) tails.delete(key)
    }
  }
}

/** What this process may give at most: it may have no right to raise its own limit. */
async function readMaxOpenFiles(): Promise<number> {
  const text = await orWhenMissing('', readFile('/proc/self/limits', 'utf8'))
  const hard = /^Max open files\s+\S+\s+(\d+)/m.exec(text)?.[1]
  return Number(hard ?? 1024)
}
