// The oci driver as an ordinary user. Everything that needs root happens in a user namespace where the user's own id is
// root and its subordinate ids are the rest; the container is made in there and gets a slice of those, so that root inside
// the sandbox is neither the user nor anybody else. It does not protect sandboxes that share a slice from one another by
// user ids, only by namespaces; and no file system limits the disk.
import { mkdir, realpath, rename, rm, stat } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { runProcess } from '../../lib/process.ts'
import { shellWord } from '../../lib/shell-quote.ts'
import { AppError } from '../../protocol/errors.ts'
import { requireSpace } from '../disks/disk-image.ts'
import { exists, orWhenMissing, readIfThere } from '../files.ts'
import { type CgroupFeatures, detectCgroups } from '../oci/cgroups.ts'
import { parseSubordinateIds } from '../oci/id-ranges.ts'
import { encodePlan, launcherArgs, TOOLS_ENV } from '../oci/launch-plan.ts'
import type { OciDriverConfig } from '../oci/oci-context.ts'
import type { Rights } from '../oci/oci-rights.ts'
import { type IdSlice, idMaps, pickSlice, slicesOf } from './rootless-ids.ts'
import { limitsRefusal, readDelegation, userBus } from './rootless-limits.ts'
import { readSwitches, rootlessRefusal } from './rootless-refusal.ts'

type RootlessConfig = Pick<
  OciDriverConfig,
  'dataDir' | 'runtimeDir' | 'doorsDir' | 'programs' | 'allowUnlimited'
>

const DU_LIMIT_S = '60'

/** Everybody may pass through one of these, unlike through the folders of a user: a sandbox's root is mounted below it. */
const SCRATCH = ['/mnt', '/media', '/srv', '/opt', '/var/tmp', '/tmp']

/**
 * All files become those of root inside: owners that are not the user's cannot be seen from the namespace. An image may
 * bring devices that no ordinary user may make; the three folders that are left out are made for every sandbox anyway.
 */
const COPY = `mkdir -- "$2" && cd -- "$1" && find . -mindepth 1 -maxdepth 1 ! -name dev ! -name proc ! -name sys \
-exec cp -a --no-preserve=ownership --reflink=auto -t "$2" -- {} + && chmod --reference=. -- "$2" && chown -hR "$3:$3" "$2"`

/** Throws an AppError of the code `unsupported` with what mends it when this machine does not let the user. */
export async function openRootlessRights(config: RootlessConfig): Promise<Rights> {
  const { uid, gid, username } = userInfo()
  await requireReadable(Object.values(config.programs))
  const slices = await readSlices(username, uid)
  const namespace = createNamespace(idMaps({ uid, gid }, slices))
  const dataDir = await realpath(config.dataDir)
  const scratch = await findScratch(config, dataDir)
  const failure = slices.length === 0 ? 'no ids' : await tryOut(namespace, dataDir, scratch)
  if (failure !== undefined) throw await explain({ username, slices, failure })
  const cgroups = await findLimits(uid, config.allowUnlimited)
  return {
    cgroups,
    mayShift: false,
    hasFewRanges: true,
    isolation: describe(slices.length, cgroups),
    env: cgroups.control === 'systemd' ? { ...TOOLS_ENV, ...busOf(uid) } : TOOLS_ENV,
    runtimeOptions: cgroups.control === 'systemd' ? ['--systemd-cgroup'] : [],
    allocate: async (sandboxes) => pickSlice(slices, sandboxes),
    ...fileRights(namespace),
    ground: ({ sessionId, files }) => {
      const root = join(scratch, sessionId)
      const begin = [namespace.enter, ['scratch', scratch], ['folder', root, '0']]
      return { writable: files, root, begin, overlayOptions: ',userxattr' }
    },
    // Its files belong to the ids of the sandbox that made it: only one with the same ids is given it.
    layerGround: ({ files }) => ({ begin: [], upper: join(files, 'upper') }),
    // Its mounts have gone with its last process, and there is no device that would remain.
    settle: async () => undefined,
  }
}

/** Deletes a folder of the user with everything in it, also what belongs to the ids of its sandboxes. */
export async function removeUserTree(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EACCES') throw error
    const { uid, gid, username } = userInfo()
    const namespace = createNamespace(idMaps({ uid, gid }, await readSlices(username, uid)))
    await fileRights(namespace).removeTree(path)
  }
}

interface Namespace {
  /** The line of a plan that enters it. */
  enter: string[]
  /** Rejects with what the operation has said. */
  run(operations: string[][]): Promise<string>
}

function createNamespace([uids, gids]: [string, string]): Namespace {
  const enter = ['users', uids, gids]
  return {
    enter,
    run: async (operations) => {
      const { exitCode, stdout, stderr } = await runProcess('perl', launcherArgs('run'), {
        env: TOOLS_ENV,
        cwd: '/',
        input: encodePlan([enter, ...operations, ['probe']]),
      })
      if (exitCode === 0) return stdout.replace(/^ok 0 ?/, '').trim()
      throw new AppError('internal', 'namespace_failed', `${stdout} ${stderr}`.trim())
    },
  }
}

function fileRights({ run }: Namespace) {
  const measure = async ({ files }: { files: string }) => {
    // It follows no link; the limit is for a sandbox that makes more files than can be counted.
    const du = ['timeout', '-s', 'KILL', DU_LIMIT_S, 'du', '-s', '--block-size=1', '--', files]
    return Number.parseInt(await run([['run', ...du]]), 10)
  }
  const shell = (script: string, ...args: string[]) =>
    run([['run', 'sh', '-c', script, 'sh', ...args]])
  return {
    copyOwned: async (source: string, target: string, base: number) => {
      if (await exists(target)) return
      const unfinished = `${target}.new`
      await run([['run', 'rm', '-rf', '--', unfinished]])
      await shell(COPY, source, unfinished, String(base)).catch((error: AppError) => {
        throw error.message.includes('Permission denied') ? unreadable(source, error) : error
      })
      await rename(unfinished, target)
    },
    own: async (path: string, base: number) => {
      await shell('chown -hR "$2:$2" "$1"', path, String(base))
    },
    removeTree: async (path: string) => {
      if (await exists(path)) await run([['run', 'rm', '-rf', '--', path]])
    },
    makeDisk: async ({ files, kept }: { files: string; kept: string }) => {
      await requireSpace(kept)
      await mkdir(files, { mode: 0o711 })
    },
    repairDisk: async () => undefined,
    measureDisk: measure,
    measureLayer: measure,
    moveFiles: async ({ files }: { files: string }, layer: { files: string }) => {
      await rename(files, layer.files)
    },
  }
}

function unreadable(image: string, cause: AppError): AppError {
  const message = `This user may not read everything in ${image}. Unpack the image as this user.`
  return new AppError('forbidden', 'image_unreadable', message, { cause })
}

/** Nobody inside is the user: what is mounted from its own files has to be open to everybody. */
async function requireReadable(paths: string[]): Promise<void> {
  for (const path of paths) {
    const stats = await orWhenMissing(undefined, stat(path))
    if (stats && (stats.mode & 0o004) === 0) {
      const message = `Sandboxes cannot read ${path}. Run: chmod o+rX ${shellWord(path)}`
      throw new AppError('forbidden', 'code_unreadable', message)
    }
  }
}

async function readSlices(name: string, uid: number): Promise<IdSlice[]> {
  const [uids = [], gids = []] = await Promise.all(
    ['/etc/subuid', '/etc/subgid'].map(async (path) =>
      parseSubordinateIds((await readIfThere(path)) ?? '', [name, String(uid)]),
    ),
  )
  return slicesOf(uids, gids)
}

/** A folder that exists and that nothing of this installation lies below. */
async function findScratch(config: RootlessConfig, dataDir: string): Promise<string> {
  const { runtimeDir, doorsDir, programs } = config
  const used = await Promise.all(
    [dataDir, runtimeDir, doorsDir, ...Object.values(programs)].map((path) =>
      realpath(path).catch(() => path),
    ),
  )
  for (const folder of SCRATCH)
    if ((await exists(folder)) && !used.some((path) => path.startsWith(`${folder}/`))) return folder
  const message = `None of ${SCRATCH.join(', ')} is a folder without a part of Errand in it.`
  throw new AppError('unsupported', 'rootless_no_scratch', message)
}

/** The whole of what a sandbox needs, for real; undefined when it works. */
async function tryOut(
  namespace: Namespace,
  dataDir: string,
  scratch: string,
): Promise<string | undefined> {
  const trial = join(dataDir, 'images', 'trial')
  const [lower = '', upper = '', work = ''] = ['lower', 'upper', 'work'].map((name) =>
    join(trial, name),
  )
  for (const path of [lower, upper, work]) await mkdir(path, { recursive: true })
  const target = join(scratch, 'trial')
  try {
    await namespace.run([
      ['scratch', scratch],
      ['folder', target, '0'],
      ['overlay', target, `lowerdir=${lower},upperdir=${upper},workdir=${work},userxattr`],
      ['run', 'rm', '-rf', '--', work],
    ])
    return undefined
  } catch (error) {
    return (error as Error).message
  } finally {
    // The work folder has a part that only the namespace's root may enter.
    await rm(trial, { recursive: true, force: true }).catch(() => undefined)
  }
}

async function explain(trial: {
  username: string
  slices: IdSlice[]
  failure: string
}): Promise<AppError> {
  const text = (await readIfThere('/etc/subuid')) ?? ''
  const ends = parseSubordinateIds(text).map(({ start, size }) => start + size)
  return rootlessRefusal({
    ...(await readSwitches()),
    user: trial.username,
    slices: trial.slices.length,
    firstFreeId: Math.max(100_000, ...ends),
    failure: trial.failure,
  })
}

async function findLimits(uid: number, allowUnlimited: boolean): Promise<CgroupFeatures> {
  const refusal = limitsRefusal(await readDelegation(uid))
  if (refusal && !allowUnlimited) throw refusal
  return { ...(await detectCgroups()), control: refusal ? 'none' : 'systemd' }
}

function busOf(uid: number): Record<string, string> {
  return {
    XDG_RUNTIME_DIR: `/run/user/${uid}`,
    DBUS_SESSION_BUS_ADDRESS: `unix:path=${userBus(uid)}`,
  }
}

function describe(slices: number, { control }: CgroupFeatures) {
  const alone = slices === 1 ? 'one sandbox has' : `${slices} sandboxes have`
  return {
    line: ', rootless',
    doesNotHold: [
      `only ${alone} user ids of its own at a time: further ones share them, and are then kept apart by their namespaces alone`,
      'the disk limit is looked at every few seconds, and not kept by the kernel',
      ...(control === 'none'
        ? ['memory, processor time and processes are not limited: it was started so']
        : []),
    ],
  }
}
