// Whether a folder can hold an installation, said so that a person knows what to do: for whoever makes one, and for doctor.
import { readdir } from 'node:fs/promises'
import { AppError } from '../protocol/errors.ts'

/** What a data folder may hold before its database is made. */
const NOT_FOREIGN = new Set(['log', 'keys', 'git', 'gateway', 'sandboxes', 'images', 'lost+found'])

/** In a data folder that a restore is filling. */
export const RESTORING = 'restoring'

/** A folder of somebody's work, given by mistake, must not change its owner. */
export async function refuseForeignFolder(dataDir: string): Promise<void> {
  const names = await namesIn(dataDir).catch((error: unknown) => {
    throw unfitFolder(error, dataDir)
  })
  if (names.every((name) => NOT_FOREIGN.has(name)) || names.includes('postgres')) return
  const message = names.includes(RESTORING)
    ? `A restore into ${dataDir} was broken off. Run errand restore again, or remove the folder.`
    : `${dataDir} holds something that is not Errand's. Name an empty folder, or one that does not exist.`
  throw new AppError('conflict', 'data_folder_foreign', message)
}

/** What making, reading or changing that folder failed with; other failures come back as they are. */
export function unfitFolder(error: unknown, dataDir: string): unknown {
  const { code } = Object(error) as { code?: unknown }
  switch (code) {
    case 'EROFS':
    case 'EACCES':
    case 'EPERM': {
      const message = `${dataDir} cannot be used by this user (${code}). Make it writable, or name another folder with --data.`
      return new AppError('forbidden', 'data_folder_closed', message, { cause: error })
    }
    case 'ENOTDIR':
    case 'EEXIST':
    case 'ENOENT':
    case 'ELOOP':
    case 'ENAMETOOLONG': {
      const message = `${dataDir} is no folder, and none can be made there (${code}). Name another one with --data.`
      return new AppError('invalid', 'data_folder_unfit', message, { cause: error })
    }
    default:
      return error
  }
}

/** None where the folder does not exist. */
export async function namesIn(path: string): Promise<string[]> {
  try {
    return await readdir(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
