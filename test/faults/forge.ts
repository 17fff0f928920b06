// A git host that a test stops in the middle of a push: before it has taken it, or after that and before its answer ends.
// What it has taken it counts itself: git's own log of the branch.
import { constants } from 'node:fs'
import { access, mkdir, open, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { delay } from '../../src/lib/deadline.ts'
import { runChecked } from '../../src/lib/process.ts'
import { createPrivateUpstream, type PrivateUpstream } from '../e2e/upstream.ts'

export type HoldPoint = 'before' | 'after'

export interface Hold {
  /** Resolves when a push of the branch waits there. */
  reached(signal: AbortSignal): Promise<void>
  /** Lets go what waits, and what comes later. */
  release(): Promise<void>
}

export interface Forge extends PrivateUpstream {
  hold(branch: string, point: HoldPoint): Promise<Hold>
  /** While it is true every push is answered with 503. */
  isDown: boolean
  /** The commits that the branch was moved to, oldest first. */
  taken(branch: string): Promise<string[]>
}

const POLL_MS = 20
const HOOKS: Record<HoldPoint, string> = { before: 'pre-receive', after: 'post-receive' }

export async function createForge(address: string): Promise<Forge> {
  const upstream = await createPrivateUpstream(address)
  const { directory, serve } = upstream
  const holds = join(directory, 'holds')
  await mkdir(holds)
  await upstream.git('config', 'core.logAllRefUpdates', 'always')
  for (const [point, hook] of Object.entries(HOOKS))
    await writeFile(join(directory, 'hooks', hook), holdScript(holds, point), { mode: 0o755 })
  const forge: Forge = Object.assign(upstream, {
    isDown: false,
    taken: async (branch: string) => {
      const log = join(directory, 'logs/refs/heads', branch)
      const text = await readFile(log, 'utf8').catch(() => '')
      return text.split('\n').flatMap((line) => line.split(' ')[1] ?? [])
    },
    hold: (branch: string, point: HoldPoint) => createHold(join(holds, nameOf(branch, point))),
  })
  forge.answer = (incoming, outgoing) => {
    if (!forge.isDown || !incoming.url?.includes('git-receive-pack')) {
      serve(incoming, outgoing)
      return
    }
    incoming.resume()
    outgoing.writeHead(503).end('down\n')
  }
  return forge
}

const nameOf = (branch: string, point: string) =>
  `${point}_${`refs/heads/${branch}`.replaceAll('/', '_')}`

/** Waits for the end of a pipe, which comes when the test closes its side. */
function holdScript(holds: string, point: string): string {
  return `#!/bin/sh
while read -r old new ref; do
  pipe="${holds}/${point}_$(echo "$ref" | tr / _)"
  [ -p "$pipe" ] || continue
  : > "$pipe.reached"
  cat "$pipe" 2>/dev/null
done
exit 0
`
}

async function createHold(pipe: string): Promise<Hold> {
  await rm(`${pipe}.reached`, { force: true })
  await runChecked('mkfifo', [pipe])
  // As reader and writer, so that who waits does not wait for a writer to come.
  const mine = await open(pipe, constants.O_RDWR)
  let isHeld = true
  return {
    reached: async (signal) => {
      while (!(await isThere(`${pipe}.reached`))) await delay(POLL_MS, signal)
    },
    release: async () => {
      if (!isHeld) return
      isHeld = false
      await rm(pipe)
      await mine.close()
    },
  }
}

async function isThere(path: string): Promise<boolean> {
  try {
    await access(path)
    return true
  } catch {
    return false
  }
}
