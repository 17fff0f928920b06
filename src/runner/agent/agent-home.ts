// What Claude Code notes of itself at its very first start, written before it: a new home costs it eight rewrites of one file,
// each with its own fsync, before it takes a prompt. What is missing or too old here it does itself.
import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Variables } from './agent-environment.ts'

/** Migrations of settings that older versions have left: a new home has nothing of them. */
export const MIGRATED = 15
const ID_BYTES = 32

/** Leaves a file that is there as it is. */
export function prepareHome(variables: Variables, now: Date): void {
  const folder = variables.CLAUDE_CONFIG_DIR ?? variables.HOME
  if (!folder) return
  const noted = {
    firstStartTime: now.toISOString(),
    migrationVersion: MIGRATED,
    machineID: randomBytes(ID_BYTES).toString('hex'),
    userID: randomBytes(ID_BYTES).toString('hex'),
  }
  try {
    writeFileSync(join(folder, '.claude.json'), JSON.stringify(noted), { flag: 'wx', mode: 0o600 })
  } catch {
    // It is there already, or the folder is not: Claude Code makes what it needs.
  }
}
