// Makes a backup of an installation, whether it runs or not: the database as it was at one moment, then the repositories,
// then the key of stored credentials. Sandboxes are not in it: sessions go on from what was pushed and saved to git.
import { createWriteStream } from 'node:fs'
import { copyFile, mkdir, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Config } from '../config.ts'
import { namesIn, unfitFolder } from '../installation/data-folder.ts'
import { layoutOf } from '../installation/ground.ts'
import { claimInstance, findInstance, versionOf } from '../installation/instance.ts'
import { encodeLine } from '../lib/ndjson.ts'
import { AppError } from '../protocol/errors.ts'
import { DATABASE_NAME, DATABASE_USER } from '../store/postgres/cluster.ts'
import type { DatabaseConnection } from '../store/postgres/database.ts'
import { dumpDatabase } from '../store/postgres/dump.ts'
import { type BackupManifest, packBackup } from './archive.ts'
import { openBackupFolder } from './backup-folder.ts'
import type { Place } from './command.ts'
import { GIT_FILES, packRepositories } from './git-folder.ts'
import { whileWanted } from './interruptible.ts'
import { atStandstill } from './standstill.ts'

export const KEY_FILE = 'keys/sealing.key'
export const tableFile = (table: string) => `database/${table}.ndjson`

export async function createBackup(
  target: string,
  { config, logger, signal }: Place,
): Promise<BackupManifest> {
  const file = resolve(target)
  await refuseWhenThere(file)
  await requireInstallation(config)
  const { folder, remove } = await openBackupFolder(file)
  const { dataDir } = config
  const parts = { dataDir, version: versionOf(config), createdAt: new Date(), folder, file, signal }
  try {
    if (await findInstance(config))
      return await writeBackup({ ...parts, connection: await runningDatabase(config) })
    const claim = await claimInstance(config)
    try {
      return await atStandstill(config, logger, ({ connection }) =>
        writeBackup({ ...parts, connection }),
      )
    } finally {
      await claim.release()
    }
  } finally {
    await remove()
  }
}

export interface BackupParts {
  connection: DatabaseConnection
  dataDir: string
  version: string
  createdAt: Date
  /** For everything on its way into the file; on the same disk. */
  folder: string
  file: string
  signal?: AbortSignal
}

/** The content of a backup out of a data folder and its database. */
export async function writeBackup(parts: BackupParts): Promise<BackupManifest> {
  const { connection, dataDir, version, folder, file, signal } = parts
  const createdAt = parts.createdAt.toISOString()
  const tables: Record<string, number> = {}
  await mkdir(join(folder, 'database'))
  const schema = await dumpDatabase(connection, async ({ name, columns, rows }) => {
    let count = 0
    async function* lines() {
      yield encodeLine(columns)
      for await (const row of whileWanted(rows, signal)) {
        count++
        yield encodeLine(row)
      }
    }
    const path = join(folder, tableFile(name))
    await pipeline(Readable.from(lines()), createWriteStream(path, { mode: 0o600 }))
    tables[name] = count
  })
  signal?.throwIfAborted()
  await packRepositories(join(dataDir, 'git'), folder)
  signal?.throwIfAborted()
  await mkdir(join(folder, dirname(KEY_FILE)))
  await copyFile(join(dataDir, KEY_FILE), join(folder, KEY_FILE))
  const names = [...Object.keys(tables).map(tableFile), KEY_FILE, ...GIT_FILES]
  return packBackup(folder, { version, schema, createdAt, tables, names }, { file, signal })
}

async function refuseWhenThere(file: string): Promise<void> {
  if (await isThere(file))
    throw new AppError('conflict', 'file_exists', `${file} is there already. Name another file.`)
}

async function requireInstallation({ dataDir }: Config): Promise<void> {
  const names = await namesIn(dataDir).catch((error: unknown) => {
    throw unfitFolder(error, dataDir)
  })
  if (names.includes('keys') && names.includes('git')) return
  const message = `There is no Errand in ${dataDir}. Name its folder with --data.`
  throw new AppError('not_found', 'installation_not_found', message)
}

/** An embedded database that is there is the one that runs, whatever the variables say now. */
async function runningDatabase(config: Config): Promise<DatabaseConnection> {
  const { postgresSockets } = layoutOf(config)
  if (await isThere(join(postgresSockets, '.s.PGSQL.5432')))
    return { host: postgresSockets, user: DATABASE_USER, database: DATABASE_NAME }
  if (config.databaseUrl) return { databaseUrl: config.databaseUrl }
  const message =
    'The Errand that runs here uses a database of its own. Set DATABASE_URL as it was set for errand up.'
  throw new AppError('invalid', 'database_unknown', message)
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}
