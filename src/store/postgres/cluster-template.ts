// A cluster as initdb left it, kept for the data folders that come after: unpacking it takes a small part of the processor
// time. Of one user, who alone reads and changes it; root opens nothing in it. All have the same system identifier then, on
// which only replication depends, which is switched off. Where nothing can be kept or unpacked, initdb does its work.
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type RunResult, runProcess } from '../../lib/process.ts'

export interface TemplatePlace {
  /** The folder of the templates, which belongs to the user. Without it none is kept. */
  templatesDir?: string
  /** Holds initdb and postgres. */
  binDir: string
  uid?: number
  gid?: number
}

/** $0 is the folder of the cluster, $1 that of the templates, $2 the name of the template. */
const UNPACK = 'tar -xpf "$1/$2" -C "$0" && sync -f "$0"'
// A template has its name when it is whole and on the disk, and stays what it is for those who read it while others go.
const PACK = `cd "$1" && find . -type f ! -name "$2" -delete &&
{ tar -cf "$2.$$" -C "$0" . && sync "$2.$$" && mv -f "$2.$$" "$2" || rm -f "$2.$$"; }`

/** Fills the folder of a cluster, which is empty; false when there is no template, or part of it may be missing. */
export async function unpackTemplate(
  place: TemplatePlace & { dataDir: string },
  settings: readonly string[],
  signal?: AbortSignal,
): Promise<boolean> {
  return (await runAsUser(UNPACK, place, settings, signal))?.exitCode === 0
}

/** Keeps a cluster that was never started, in place of those of other settings or versions; nothing where that fails. */
export async function keepTemplate(
  place: TemplatePlace & { dataDir: string },
  settings: readonly string[],
  signal?: AbortSignal,
): Promise<void> {
  await runAsUser(PACK, place, settings, signal)
}

async function runAsUser(
  script: string,
  { templatesDir, dataDir, binDir, uid, gid }: TemplatePlace & { dataDir: string },
  settings: readonly string[],
  signal?: AbortSignal,
): Promise<RunResult | undefined> {
  if (templatesDir === undefined) return undefined
  // Which names its version. Where it is missing, who runs it says so.
  const initdb = await readFile(join(binDir, 'initdb')).catch(() => undefined)
  if (!initdb) return undefined
  const hash = createHash('sha256').update(initdb).update(JSON.stringify(settings))
  const name = `${hash.digest('hex').slice(0, 24)}.tar`
  const options = { cwd: '/', env: { PATH: '/usr/bin:/bin' }, uid, gid, signal }
  return await runProcess('/bin/sh', ['-c', script, dataDir, templatesDir, name], options)
}
