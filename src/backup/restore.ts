// Makes an installation out of a backup, in a data folder that holds nothing yet. Everything is built in a folder inside it
// and put in its place at the very end, the database last: before that no Errand starts there, and a failure leaves nothing.
import { chmod, mkdir, readFile, rename, rm, rmdir, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { z } from 'zod'
import { type Config, readConfig } from '../config.ts'
import { createAccounts, createAuthSecret } from '../http/sign-in/accounts.ts'
import { namesIn, RESTORING as UNFINISHED, unfitFolder } from '../installation/data-folder.ts'
import { claimInstance } from '../installation/instance.ts'
import type { Logger } from '../lib/logger.ts'
import { AppError } from '../protocol/errors.ts'
import { createDispatch } from '../sessions/dispatch.ts'
import { defaultRules } from '../sessions/rules/decide.ts'
import { isKnownSchema } from '../store/migrate.ts'
import type { DatabaseConnection } from '../store/postgres/database.ts'
import {
  DUMPED_TABLES,
  dropTables,
  loadDatabase,
  makeTables,
  requireEmptyDatabase,
  withPool,
} from '../store/postgres/dump.ts'
import { openStore, type Store } from '../store/store.ts'
import { type BackupManifest, readJsonLines, unpackBackup } from './archive.ts'
import { KEY_FILE, tableFile } from './backup.ts'
import type { Place } from './command.ts'
import { unpackRepositories } from './git-folder.ts'
import { whileWanted } from './interruptible.ts'
import { atStandstill, type Standstill } from './standstill.ts'

/** In the order in which they are put in their place; the last one makes it an installation. */
const PARTS = ['keys', 'git', 'sandboxes', 'images', 'postgres'] as const
/** What may lie in a folder that counts as empty. */
const NOTHING = new Set(['log', 'lost+found'])
const rowSchema = z.array(z.string().nullable())
const columnsSchema = z.array(z.string())

export async function restoreBackup(source: string, place: Place): Promise<BackupManifest> {
  const { config } = place
  const claim = await claimInstance(config)
  try {
    const made = await makeFolder(config).catch((error: unknown) => {
      throw unfitFolder(error, config.dataDir)
    })
    try {
      return await restoreInto(resolve(source), place)
    } catch (error) {
      await clearUnfinished(config)
      if (made !== undefined) await rmdir(config.dataDir)
      throw error
    }
  } finally {
    await claim.release()
  }
}

/** Undefined when it was there, and empty. */
async function makeFolder(config: Config): Promise<string | undefined> {
  await clearUnfinished(config)
  await requireEmpty(config)
  return mkdir(config.dataDir, { recursive: true, mode: 0o711 })
}

async function restoreInto(
  file: string,
  { config, logger, signal }: Place,
): Promise<BackupManifest> {
  const unfinished = join(config.dataDir, UNFINISHED)
  const archive = join(unfinished, 'archive')
  const place = join(unfinished, 'place')
  await mkdir(archive, { recursive: true, mode: 0o700 })
  await chmod(unfinished, 0o711)
  const manifest = await unpackBackup(file, archive, signal)
  requireKnown(manifest)
  const { databaseUrl, logLevel } = config
  const within = { ...readConfig({ dataDir: place }), databaseUrl, logLevel }
  await atStandstill(within, logger, (still) => fill(still, { archive, manifest, logger, signal }))
  for (const part of PARTS) await rename(join(place, part), join(config.dataDir, part))
  await rm(unfinished, { recursive: true, force: true })
  return manifest
}

interface Content {
  archive: string
  manifest: BackupManifest
  logger: Logger
  signal: AbortSignal
}

async function fill(still: Standstill, content: Content): Promise<void> {
  const { layout, connection } = still
  const { archive, manifest, logger, signal } = content
  await unpackRepositories(archive, layout.gitData)
  const sealingKey = await readFile(join(archive, KEY_FILE))
  // The file is there and keeps its owner and mode.
  await writeFile(layout.keyFile, sealingKey)
  signal.throwIfAborted()
  await requireEmptyDatabase(connection)
  try {
    await makeTables(connection, manifest.schema)
    await makeAccountTables(connection)
    const counts = await loadDatabase(connection, tablesIn(content))
    requireCounts(manifest, counts)
    signal.throwIfAborted()
    const store = await openStore({ connection, logger, program: 'errand-restore', sealingKey })
    await loseSandboxes(store).finally(() => store.close())
  } catch (error) {
    await dropTables(connection)
    throw error
  }
}

/** The tables of accounts are made by the library that they belong to. */
async function makeAccountTables(connection: DatabaseConnection): Promise<void> {
  const secret = createAuthSecret()
  await withPool(connection, (pool) =>
    createAccounts({ pool, publicUrl: 'http://localhost', secret }),
  )
}

async function* tablesIn({ archive, manifest, signal }: Content) {
  for (const { name } of DUMPED_TABLES) {
    if (manifest.tables[name] === undefined) continue
    const lines = readJsonLines(join(archive, tableFile(name)))
    const first = await lines.next()
    const columns = columnsSchema.parse(first.value)
    async function* rows() {
      for await (const line of whileWanted(lines, signal)) yield rowSchema.parse(line)
    }
    yield { name, columns, rows: rows() }
  }
}

/** No sandbox is in a backup: sessions are told so by the rules, and work that was under way begins again in a new one. */
async function loseSandboxes(store: Store): Promise<void> {
  const dispatch = createDispatch(store, defaultRules)
  const message =
    'The sandbox was not in the backup that this installation was restored from. Work goes on in a new one.'
  for (const { id, sandbox } of await store.sessions.listBySandboxState([
    'preparing',
    'ready',
    'stopped',
  ])) {
    const { generation, state: before, isolation } = sandbox
    // Stopped before there was one.
    if (before === 'stopped' && isolation === null) continue
    const reason = 'sandbox_not_in_backup'
    const lost = { type: 'sandbox.lost', generation, reason, message } as const
    const { status } = await dispatch.command(id, lost)
    // It was being replaced already, and the rules give up at the second loss.
    if (status === 'failed' && before === 'preparing')
      await dispatch.command(id, { type: 'session.retry' })
  }
}

function requireKnown({ schema, version, tables }: BackupManifest): void {
  const unknown = Object.keys(tables).filter(
    (name) => !DUMPED_TABLES.some((table) => table.name === name),
  )
  if (isKnownSchema(schema) && unknown.length === 0) return
  const message = `This backup was made by a newer version of Errand (${version}, ${schema}). Restore it with that version.`
  throw new AppError('unsupported', 'schema_newer', message)
}

function requireCounts({ tables }: BackupManifest, counts: Record<string, number>): void {
  const wrong = Object.entries(tables).find(([name, count]) => counts[name] !== count)
  if (!wrong) return
  const [name, count] = wrong
  const message = `The backup is damaged: ${name} should have ${count} rows and has ${counts[name] ?? 0}.`
  throw new AppError('invalid', 'backup_damaged', message)
}

async function requireEmpty({ dataDir }: Config): Promise<void> {
  const names = (await namesIn(dataDir)).filter((name) => !NOTHING.has(name))
  if (names.length === 0) return
  const message = `${dataDir} is not empty (${names.slice(0, 5).join(', ')}). Name a folder that is empty or not there with --data.`
  throw new AppError('conflict', 'data_folder_not_empty', message)
}

/** What a killed restore left: it had begun in an empty folder, so everything there is its own while the database is not. */
async function clearUnfinished({ dataDir }: Config): Promise<void> {
  const names = await namesIn(dataDir)
  if (!names.includes(UNFINISHED) || names.includes('postgres')) return
  for (const name of [...PARTS, UNFINISHED])
    await rm(join(dataDir, name), { recursive: true, force: true })
}
