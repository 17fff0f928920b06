// What git announces to a client of protocol 2, kept for a while: it tells what this git does with these settings and nothing
// of refs or objects, so that all repositories with the same configuration announce the same. Saves one start of git in three
// of a clone. Only for repositories that are gitd's own: nobody else writes their configuration.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Settings } from '../git-process.ts'

/** An upgraded git may announce something else. */
const KEPT_MS = 60_000
const MOST_KEPT = 100

export interface Announcing {
  directory: string
  settings: Settings
  /** As in GIT_PROTOCOL; holds `version=2`. */
  protocol: string
}

export interface Announcements {
  /** Asks git where it is not known. What fails is not kept. */
  of(announcing: Announcing, ask: () => Promise<Buffer>): Promise<Buffer>
}

export function createAnnouncements(nowMs: () => number): Announcements {
  const known = new Map<string, { said: Buffer; until: number }>()
  return {
    of: async ({ directory, settings, protocol }, ask) => {
      const configuration = await readFile(join(directory, 'config'), 'utf8')
      const key = JSON.stringify([protocol, settings, configuration])
      const found = known.get(key)
      if (found && nowMs() < found.until) return found.said
      const said = await ask()
      if (known.size >= MOST_KEPT) known.clear()
      known.set(key, { said, until: nowMs() + KEPT_MS })
      return said
    },
  }
}
