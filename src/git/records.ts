// The small JSON files that gitd keeps inside its own bare repositories: what a session or an upload is.
import { appendFile, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { AppError } from '../protocol/errors.ts'
import { accessSchema } from '../protocol/session.ts'

export const sessionRecordSchema = z.object({
  sessionId: z.string(),
  /** Which of its additional repositories; null for the main one. */
  repository: z.string().nullable().default(null),
  access: accessSchema.default('write'),
  ownerId: z.string(),
  name: z.string(),
  branch: z.string(),
  /** The branch that was asked for, where another name was found. */
  askedBranch: z.string().optional(),
  baseBranch: z.string().nullable(),
  defaultBranch: z.string().nullable(),
  /** The commit that the session started from. */
  commit: z.string(),
  /** Where pushes go on to; null when the source has no outside. */
  outside: z.object({ url: z.string(), credentialId: z.string().nullable() }).nullable(),
})
export type SessionRecord = z.infer<typeof sessionRecordSchema>

export const uploadRecordSchema = z.object({
  uploadId: z.string(),
  ownerId: z.string(),
  expiresAtMs: z.number(),
})
export type UploadRecord = z.infer<typeof uploadRecordSchema>

const FILE = 'errand.json'
const PUSHED_FILE = 'errand-pushed'

/** Rejects with `<kind>_not_found` when there is no such repository. */
export async function readRecord<T>(
  directory: string,
  kind: 'session' | 'upload',
  schema: z.ZodType<T>,
): Promise<T> {
  const found = await findRecord(directory, schema)
  if (!found)
    throw new AppError('not_found', `${kind}_not_found`, `There is no repository of this ${kind}.`)
  return found
}

export function findRecord<T>(directory: string, schema: z.ZodType<T>): Promise<T | undefined> {
  return readJsonFile(join(directory, FILE), schema)
}

/** Undefined when there is no such file. */
export async function readJsonFile<T>(path: string, schema: z.ZodType<T>): Promise<T | undefined> {
  try {
    return schema.parse(JSON.parse(await readFile(path, 'utf8')))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

export function writeRecord(
  directory: string,
  record: SessionRecord | UploadRecord,
): Promise<void> {
  return writeWhole(join(directory, FILE), `${JSON.stringify(record, null, 2)}\n`)
}

/** Every commit that the session's branch was pushed to, in order. */
export async function readPushedCommits(directory: string): Promise<ReadonlySet<string>> {
  try {
    return new Set((await readFile(join(directory, PUSHED_FILE), 'utf8')).split('\n'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return new Set()
    throw error
  }
}

export function addPushedCommit(directory: string, commit: string): Promise<void> {
  return appendFile(join(directory, PUSHED_FILE), `${commit}\n`, { mode: 0o600 })
}

/** The file has its old content or all of the new one, whenever the machine stops. */
export async function writeWhole(path: string, text: string): Promise<void> {
  const temporary = `${path}.new`
  await writeFile(temporary, text, { mode: 0o600, flush: true })
  await rename(temporary, path)
}
