// Finds tools on PATH and asks each for its version by running it. What was asked is kept by the program's inode and time, so
// that the next time only what changed is run; where a program is, is looked up each time.
import {
  access,
  constants,
  mkdir,
  readdir,
  readFile,
  realpath,
  rename,
  stat,
  writeFile,
} from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { runProcess } from '../lib/process.ts'
import type { KnownTool } from './known-tools.ts'

export interface FoundTool {
  /** Null when it is there and does not tell. */
  version: string | null
  path: string
}

interface Kept {
  /** Inode, size and time of the program. */
  stamp: string
  version: string | null
}

export interface VersionDeps {
  path: string
  env: Record<string, string>
  /** Where answers are kept; nothing is kept when it cannot be written. */
  cacheFile: string
}

const LIMIT_MS = 15_000

/** In the order of `tools`; undefined for a tool that is not there. */
export async function findVersions(
  tools: readonly KnownTool[],
  deps: VersionDeps,
): Promise<(FoundTool | undefined)[]> {
  const kept = await readKept(deps.cacheFile)
  const next: Record<string, Kept> = {}
  const found = await Promise.all(
    tools.map(async (tool) => {
      const path = await findTool(tool, deps.path)
      if (path === undefined) return undefined
      const key = [path, ...(tool.args ?? VERSION_ARGS)].join(' ')
      const stamp = await stampOf(path)
      const known = kept[key]
      const version = known?.stamp === stamp ? known.version : await ask(path, tool, deps.env)
      next[key] = { stamp, version }
      return { version, path }
    }),
  )
  if (JSON.stringify(next) !== JSON.stringify(kept)) await writeKept(deps.cacheFile, next)
  return found
}

const VERSION_ARGS = ['--version']

/** A folder among the programs holds a folder for each version (`/usr/lib/postgresql/17/bin`). */
async function findTool(
  { name, programs = [name] }: KnownTool,
  path: string,
): Promise<string | undefined> {
  const folders = path.split(':').filter(Boolean)
  for (const program of programs) {
    const candidates = program.startsWith('/')
      ? await versionFolders(program, programs[0] ?? name)
      : folders.map((folder) => join(folder, program))
    for (const candidate of candidates) if (await isProgram(candidate)) return candidate
  }
  return undefined
}

async function versionFolders(folder: string, program: string): Promise<string[]> {
  const versions = await readdir(folder).catch(() => [])
  const newestFirst = versions.toSorted((a, b) => Number(b) - Number(a))
  return newestFirst.map((version) => join(folder, version, 'bin', program))
}

async function isProgram(path: string): Promise<boolean> {
  return access(path, constants.X_OK)
    .then(() => stat(path))
    .then((stats) => stats.isFile())
    .catch(() => false)
}

async function stampOf(path: string): Promise<string> {
  const { ino, size, mtimeMs } = await stat(await realpath(path))
  return `${ino} ${size} ${mtimeMs}`
}

async function ask(
  path: string,
  { args = VERSION_ARGS }: KnownTool,
  env: Record<string, string>,
): Promise<string | null> {
  try {
    const options = { cwd: '/', env, signal: AbortSignal.timeout(LIMIT_MS) }
    const { stdout, stderr } = await runProcess(path, args, options)
    return parseVersion(stdout) ?? parseVersion(stderr)
  } catch {
    // A program that cannot be run, or hangs, is shown without a version.
    return null
  }
}

/** The first number with a dot in it, with what belongs to it: `v24.1.0`, `(GCC) 14.2.0`, `go1.27.4`, `Python 3.13.5+`. */
export function parseVersion(text: string): string | null {
  return /(?<![\d.])\d+\.\d+(?:\.\d+)*(?:[-_+~][0-9A-Za-z.]+)*/.exec(text)?.[0] ?? null
}

async function readKept(file: string): Promise<Record<string, Kept>> {
  try {
    return JSON.parse(await readFile(file, 'utf8'))
  } catch {
    // Missing or damaged: every tool is asked again.
    return {}
  }
}

async function writeKept(file: string, kept: Record<string, Kept>): Promise<void> {
  try {
    await mkdir(dirname(file), { recursive: true })
    await writeFile(`${file}.${process.pid}`, JSON.stringify(kept))
    await rename(`${file}.${process.pid}`, file)
  } catch {
    // Only slower the next time.
  }
}
