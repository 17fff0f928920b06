// Large files (Git LFS) of a repository on this disk, moved by the user's own git-lfs: those of one commit go to Errand with it,
// those of a session's branch come back with it. Nothing is checked out, and no hook or setting of the repository is changed.
import { AppError } from '../../protocol/errors.ts'
import type { Connection } from '../deps.ts'
import { doorEnv, type Git, gitFailure, WHOLE_LIST_BYTES } from './git.ts'

export interface LargeFiles {
  root: string
  commit: string
  /** Address of the repository at Errand. */
  url: string
  signal?: AbortSignal | undefined
}

/** So many names fit into the arguments of one call. */
const AT_ONCE = 500

/** Files that are not on this disk are left out: a clone holds those of what was checked out. */
export async function pushLargeFiles(
  git: Git,
  connection: Connection,
  env: Record<string, string>,
  files: LargeFiles,
): Promise<void> {
  const { root, url, signal } = files
  const oids = await listLargeFiles(git, files)
  const options = { cwd: root, env: doorEnv(env, connection), ...(signal ? { signal } : {}) }
  for (let at = 0; at < oids.length; at += AT_ONCE) {
    const some = oids.slice(at, at + AT_ONCE)
    const args = [...lfsAt(url), 'push', '--object-id', url, ...some]
    const { exitCode, stderr } = await git.try(args, options)
    if (exitCode !== 0) throw gitFailure('lfs push', stderr)
  }
}

export async function fetchLargeFiles(
  git: Git,
  connection: Connection,
  env: Record<string, string>,
  files: LargeFiles,
): Promise<void> {
  const { root, commit, url } = files
  if ((await listLargeFiles(git, files)).length === 0) return
  const args = [...lfsAt(url), 'fetch', url, commit]
  const { exitCode, stderr } = await git.try(args, { cwd: root, env: doorEnv(env, connection) })
  if (exitCode === 0) return
  const { message } = gitFailure('lfs fetch', stderr)
  throw new AppError(
    'unavailable',
    'large_files_missing',
    `the branch is here, and large files of it are not: ${message}`,
  )
}

/** Their ids in the tree of the commit. None where git-lfs is not installed: no large file is here then. */
async function listLargeFiles(git: Git, { root, commit }: LargeFiles): Promise<string[]> {
  const attributes = ['grep', '-q', '-F', 'filter=lfs', commit, '--', ':(glob)**/.gitattributes']
  if ((await git.try(attributes, { cwd: root })).exitCode !== 0) return []
  const all = { cwd: root, maxOutputBytes: WHOLE_LIST_BYTES }
  const listed = await git.try(['lfs', 'ls-files', '--long', commit], all)
  if (listed.exitCode !== 0) return []
  const oids = listed.stdout.split('\n').map((line) => line.slice(0, line.indexOf(' ')))
  return [...new Set(oids.filter((oid) => /^[0-9a-f]{64}$/.test(oid)))]
}

/** At this address alone, whatever the repository is set to. */
function lfsAt(url: string): string[] {
  const settings = [
    `lfs.url=${url}/info/lfs`,
    `lfs.pushurl=${url}/info/lfs`,
    `lfs.${url}/info/lfs.locksverify=false`,
    'lfs.allowincompletepush=true',
    'lfs.standalonetransferagent=',
    'lfs.basictransfersonly=true',
  ]
  return [...settings.flatMap((setting) => ['-c', setting]), 'lfs']
}
