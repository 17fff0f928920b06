// The file of a backup: a gzipped tar whose first member says what the others are and what their checksums are. Packed from
// a folder and unpacked into one, never in parts: whoever gets a folder back has all of it, as it was.
import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, open, rename, stat, statfs, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createGzip } from 'node:zlib'
import { z } from 'zod'
import { readTar, TarError, type TarFile, writeTar } from '../lib/tar.ts'
import { AppError } from '../protocol/errors.ts'
import { whileWanted } from './interruptible.ts'

export const BACKUP_FORMAT = 1
const MANIFEST = 'manifest.json'
const MANIFEST_BYTES = 16 << 20
/** Packs of git hardly shrink, and text shrinks well even so. */
const GZIP_LEVEL = 3

const memberSchema = z.object({
  name: z.string().regex(/^[a-z_-]+(\/[a-z_-]+)?(\.[a-z]+)?$/),
  bytes: z.int().min(0),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
})
const manifestSchema = z.object({
  format: z.literal(BACKUP_FORMAT),
  /** Of the Errand that made it. */
  version: z.string(),
  /** The last migration of its database. */
  schema: z.string(),
  createdAt: z.iso.datetime(),
  /** Rows of each table. */
  tables: z.record(z.string(), z.int().min(0)),
  files: z.array(memberSchema),
})
export type BackupManifest = z.infer<typeof manifestSchema>

/** Writes the whole folder to `file`, which is there only when it is complete. Nobody else may read it. */
export async function packBackup(
  folder: string,
  { names, ...about }: Omit<BackupManifest, 'format' | 'files'> & { names: string[] },
  { file, signal }: { file: string; signal?: AbortSignal },
): Promise<BackupManifest> {
  const files = await Promise.all(names.map((name) => describeMember(folder, name)))
  const manifest: BackupManifest = { format: BACKUP_FORMAT, ...about, files }
  await writeFile(join(folder, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`)
  const unfinished = join(folder, 'backup.tar.gz')
  await pipeline(
    Readable.from(writeTar(membersOf(folder, [MANIFEST, ...names]), new Date(about.createdAt))),
    createGzip({ level: GZIP_LEVEL }),
    createWriteStream(unfinished, { mode: 0o600, flush: true }),
    { signal },
  )
  await rename(unfinished, file)
  await syncFolder(dirname(file))
  return manifest
}

/** Rejects with `backup_unreadable` for what is no backup and with `backup_damaged` for one that is not whole. */
export async function unpackBackup(
  file: string,
  folder: string,
  signal?: AbortSignal,
): Promise<BackupManifest> {
  try {
    await requireSpace(file, folder)
    return await unpack(file, { folder, signal })
  } catch (error) {
    if (error instanceof AppError) throw error
    const { code } = Object(error) as { code?: unknown }
    if (code === 'EISDIR') throw unreadable(error)
    if (code === 'EACCES') {
      const message = `${file} may not be read by this user.`
      throw new AppError('forbidden', 'backup_closed', message, { cause: error })
    }
    if (error instanceof TarError || isGzipError(error)) throw damaged(error.message, error)
    throw error
  }
}

/** Splits the text of a member into its lines, each a JSON value. */
export async function* readJsonLines(path: string): AsyncGenerator<unknown> {
  let rest = ''
  for await (const chunk of createReadStream(path, { encoding: 'utf8' })) {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) yield JSON.parse(line)
  }
  if (rest !== '') yield JSON.parse(rest)
}

async function unpack(
  file: string,
  { folder, signal }: { folder: string; signal: AbortSignal | undefined },
): Promise<BackupManifest> {
  const unzipped = createReadStream(file).on('error', (error) => unzipped.destroy(error))
  const chunks = unzipped.pipe(createGunzip())
  unzipped.on('error', (error) => chunks.destroy(error))
  let manifest: BackupManifest | undefined
  const left = new Map<string, BackupManifest['files'][number]>()
  for await (const member of readTar(whileWanted(chunks, signal))) {
    if (!manifest) {
      manifest = await readManifest(member)
      for (const described of manifest.files) left.set(described.name, described)
      continue
    }
    const described = left.get(member.name)
    left.delete(member.name)
    if (!described || described.bytes !== member.size)
      throw damaged(`${member.name} is not what the manifest says`)
    const path = join(folder, member.name)
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    const hash = createHash('sha256')
    await pipeline(hashing(member.content, hash), createWriteStream(path, { mode: 0o600 }))
    if (hash.digest('hex') !== described.sha256)
      throw damaged(`the checksum of ${member.name} is another one`)
  }
  if (!manifest) throw unreadable()
  const missing = [...left.keys()]
  if (missing.length > 0) throw damaged(`${missing.join(', ')} is missing`)
  return manifest
}

async function* hashing(content: AsyncIterable<Buffer>, hash: ReturnType<typeof createHash>) {
  for await (const chunk of content) {
    hash.update(chunk)
    yield chunk
  }
}

async function readManifest({ name, size, content }: TarFile): Promise<BackupManifest> {
  if (name !== MANIFEST || size > MANIFEST_BYTES) throw unreadable()
  const parts: Buffer[] = []
  for await (const part of content) parts.push(part)
  const value = parseJson(Buffer.concat(parts).toString('utf8'))
  const { format } = Object(value) as { format?: unknown }
  if (typeof format === 'number' && format > BACKUP_FORMAT) {
    const message =
      'This backup was made by a newer version of Errand. Restore it with that version.'
    throw new AppError('unsupported', 'backup_newer', message)
  }
  const parsed = manifestSchema.safeParse(value)
  if (parsed.success) return parsed.data
  throw unreadable(parsed.error)
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw damaged('its manifest is not JSON', error)
  }
}

async function describeMember(folder: string, name: string) {
  const hash = createHash('sha256')
  await pipeline(createReadStream(join(folder, name)), hash)
  const { size } = await stat(join(folder, name))
  return { name, bytes: size, sha256: hash.digest('hex') }
}

async function* membersOf(folder: string, names: string[]): AsyncGenerator<TarFile> {
  for (const name of names) {
    const { size } = await stat(join(folder, name))
    yield { name, size, content: createReadStream(join(folder, name)) }
  }
}

/** At least as much as the file itself must be free; packed data mostly stays as large as it is. */
async function requireSpace(file: string, folder: string): Promise<void> {
  const { size } = await stat(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
    throw new AppError('not_found', 'backup_not_found', `There is no file ${file}.`)
  })
  const { bavail, bsize } = await statfs(folder)
  if (bavail * bsize < 2 * size) {
    const message = 'There is not enough space on the disk of the data folder for this backup.'
    throw new AppError('no_space', 'disk_full', message)
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

function isGzipError(error: unknown): error is Error {
  const { code } = Object(error) as { code?: unknown }
  return typeof code === 'string' && code.startsWith('Z_')
}

function damaged(why: string, cause?: unknown): AppError {
  return new AppError('invalid', 'backup_damaged', `The backup is damaged: ${why}.`, { cause })
}

function unreadable(cause?: unknown): AppError {
  return new AppError('invalid', 'backup_unreadable', 'This file is no backup of Errand.', {
    cause,
  })
}
