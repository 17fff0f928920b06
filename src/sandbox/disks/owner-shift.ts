// How the files of an image become the property of a sandbox's root: by a mount that shows other owners (the image is
// shared, each sandbox has ids of its own), or, where kernel or file system cannot do that, by a copy with other owners.
// Sandboxes on one copied root file system share one range of ids: what one of them might do to another's processes is
// then prevented by their namespaces alone.
import { createHash } from 'node:crypto'
import { chmod, lchown, lstat, mkdir, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { runChecked, runProcess } from '../../lib/process.ts'
import { exists } from '../files.ts'
import type { IdRange } from '../oci/id-ranges.ts'
import { RANGE_SIZE } from '../oci/id-ranges.ts'
import { encodePlan, launcherArgs, TOOLS_ENV } from '../oci/launch-plan.ts'

/** Whether a file system can be shown with other owners below an overlay; tried for real, since versions do not tell. */
export async function canShiftByMount(path: string, scratch: string): Promise<boolean> {
  const shifted = join(scratch, 'shifted')
  const other = join(scratch, 'other')
  const target = join(scratch, 'target')
  for (const folder of [shifted, other, target]) await mkdir(folder, { recursive: true })
  const plan = [
    ['idmap', path, shifted, '268435456'],
    ['overlay', target, `lowerdir=${shifted}:${other}`],
    ['probe'],
  ]
  const { exitCode } = await runProcess('perl', launcherArgs('probe'), {
    env: TOOLS_ENV,
    input: encodePlan(plan),
  })
  await rm(scratch, { recursive: true, force: true })
  return exitCode === 0
}

/** Copies a folder with everything in it, its owners moved up by `base`. */
export async function copyShifted(
  source: string,
  target: string,
  base: number,
  signal?: AbortSignal,
): Promise<void> {
  if (await exists(target)) return
  const unfinished = `${target}.new`
  await rm(unfinished, { recursive: true, force: true })
  await runChecked('cp', ['-a', '--reflink=auto', '--', source, unfinished], { signal })
  await shiftOwners(unfinished, base)
  await rename(unfinished, target)
}

/** In place. Links are not followed; a change of owner takes the setuid bits away, so they are put back. */
export async function shiftOwners(path: string, base: number): Promise<void> {
  const stats = await lstat(path)
  if (stats.uid >= RANGE_SIZE || stats.gid >= RANGE_SIZE) return
  await lchown(path, stats.uid + base, stats.gid + base)
  if (stats.isSymbolicLink()) return
  if ((stats.mode & 0o6000) !== 0) await chmod(path, stats.mode & 0o7777)
  if (!stats.isDirectory()) return
  for (const name of await readdir(path)) await shiftOwners(join(path, name), base)
}

/** The name of an owned copy of an image tells its range, so that the range stays taken as long as the copy is there. */
export async function ownedCopyPrefix(root: string): Promise<string> {
  const { ino, mtimeMs } = await stat(root)
  const hash = createHash('sha256').update(`${root}\0${ino}\0${mtimeMs}`).digest('hex')
  return `owned-${hash.slice(0, 24)}-`
}

export function rangesOfOwnedCopies(names: string[]): IdRange[] {
  return names.flatMap((name) => {
    const start = /^owned-[0-9a-f]{24}-(\d+)$/.exec(name)?.[1]
    return start === undefined ? [] : [{ start: Number(start), size: RANGE_SIZE }]
  })
}
