// A folder in which tests run a PostgreSQL of their own. As root it runs as another user; where that user cannot reach the
// programs (a clone below a closed folder) they are copied.
import { chmod, cp, mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { findPostgresBinDir } from './cluster.ts'

/** `nobody`: the programs of PostgreSQL want a user that has a name. */
const UNPRIVILEGED_ID = 65_534

export interface TestPlace {
  folder: string
  binDir: string
  uid?: number
  gid?: number
  remove(): Promise<void>
}

/** A folder with a short path and what it takes to start a server in it. */
export async function makeTestPlace(): Promise<TestPlace> {
  const folder = await mkdtemp(join(tmpdir(), 'errand-pg-'))
  const remove = () => rm(folder, { recursive: true, force: true, maxRetries: 3 })
  const binDir = findPostgresBinDir()
  if (process.getuid?.() !== 0) return { folder, binDir, remove }
  await chmod(folder, 0o711)
  const id = { uid: UNPRIVILEGED_ID, gid: UNPRIVILEGED_ID }
  if (await isOpenToAll(binDir)) return { folder, binDir, ...id, remove }
  await cp(dirname(binDir), join(folder, 'native'), { recursive: true, verbatimSymlinks: true })
  return { folder, binDir: join(folder, 'native', 'bin'), ...id, remove }
}

async function isOpenToAll(path: string): Promise<boolean> {
  const { mode } = await stat(path)
  if ((mode & 0o001) === 0) return false
  return path === '/' || isOpenToAll(dirname(path))
}
