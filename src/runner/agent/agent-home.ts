// What Claude Code notes of itself at its very first start, written before it: a new home costs it eight rewrites of one file,
// each with its own fsync, before it takes a prompt. What is missing or too old here it does itself. With a file that was cut
// off, by a kill or a full disk, it does not start at all, however often it is tried: that is mended here.
import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Variables } from './agent-environment.ts'

/** Migrations of settings that older versions have left: a new home has nothing of them. */
export const MIGRATED = 15
const ID_BYTES = 32
const FILE = '.claude.json'
/** Claude Code keeps some, with the time of each in its name. */
const BACKUP = /^\.claude\.json\.backup\.\d+$/

export interface HomeFile {
  path: string
  /** Of a new home. */
  text: string
}

export function describeHome({ CLAUDE_CONFIG_DIR, HOME = '' }: Variables, now: Date): HomeFile {
  const path = join(CLAUDE_CONFIG_DIR ?? HOME, FILE)
  return { path, text: JSON.stringify(firstNotes(now)) }
}

/** Leaves a file that can be read as it is. */
export function prepareHome(variables: Variables, now: Date): void {
  if (!variables.CLAUDE_CONFIG_DIR && !variables.HOME) return
  const { path, text } = describeHome(variables, now)
  try {
    const isThere = checkFile(path)
    if (isThere === 'readable') return
    if (isThere === 'unreadable') renameSync(path, `${path}.unreadable`)
    const kept = isThere === 'unreadable' ? newestBackup(variables) : undefined
    writeFileSync(`${path}.new`, kept ?? text, { mode: 0o600 })
    renameSync(`${path}.new`, path)
  } catch {
    // The folder is not there, or may not be written: Claude Code makes what it can.
  }
}

function firstNotes(now: Date) {
  return {
    firstStartTime: now.toISOString(),
    migrationVersion: MIGRATED,
    machineID: randomBytes(ID_BYTES).toString('hex'),
    userID: randomBytes(ID_BYTES).toString('hex'),
  }
}

function newestBackup({ CLAUDE_CONFIG_DIR, HOME = '' }: Variables): string | undefined {
  const folder = join(CLAUDE_CONFIG_DIR ?? join(HOME, '.claude'), 'backups')
  if (!existsSync(folder)) return undefined
  const names = readdirSync(folder).filter((name) => BACKUP.test(name))
  const paths = names.toSorted().map((name) => join(folder, name))
  const newest = paths.findLast((path) => checkFile(path) === 'readable')
  return newest && readFileSync(newest, 'utf8')
}

function checkFile(path: string): 'missing' | 'readable' | 'unreadable' {
  let text: string
  try {
    // Reading a pipe or a device might never end.
    if (!statSync(path).isFile()) return 'unreadable'
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'missing'
    throw error
  }
  try {
    JSON.parse(text.replace(/^\uFEFF/, ''))
    return 'readable'
  } catch {
    return 'unreadable'
  }
}
