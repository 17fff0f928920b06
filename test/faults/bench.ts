// One installation on an island with its forge, for tests that kill its programs again and again.
import { lastUserText } from '../../demo/conversation.ts'
import type { RecordedRequest } from '../../demo/scripted-model.ts'
import { delay } from '../../src/lib/deadline.ts'
import { type Installation, startInstallation } from '../e2e/installation.ts'
import { createIsland } from '../e2e/island.ts'
import { GIT_HOST } from '../e2e/upstream.ts'
import { createForge, type Forge } from './forge.ts'
import {
  commandsInside,
  findInside,
  findProgram,
  INSIDE,
  type InsideName,
  type ProgramName,
} from './processes.ts'

export interface Bench {
  errand: Installation
  forge: Forge
  /** Where the test listens for it. */
  outside: string
  /** Called with each request that the model gets; the function that it returns ends that. */
  watchModel(see: (request: RecordedRequest) => void): () => void
  close(): Promise<void>
}

export interface BenchOptions {
  paceMs?: number
  hosts?: Record<string, string>
  env?: Record<string, string>
}

export type Victim = ProgramName | InsideName

/** The agent is told so when it is started again in the middle of a turn. */
const GO_ON = 'Look at what is there and go on with the task'
const AGENTS_COMMAND = /push origin HEAD$|pack-objects|head -c/

const POLL_MS = 20
const FIND_LIMIT_MS = 30_000

export async function createBench(options: BenchOptions = {}): Promise<Bench> {
  const watchers = new Set<(request: RecordedRequest) => void>()
  const island = await createIsland({ hosts: { [GIT_HOST]: 'outside', ...options.hosts } })
  const forge = await createForge(island.outside)
  const names = [GIT_HOST, ...Object.keys(options.hosts ?? {})]
  const errand = await startInstallation({
    island,
    scenarios: ['slow-answer', 'slow-pack', 'quiet-note', 'add-note'],
    paceMs: options.paceMs ?? 5,
    onRequest: (request) => {
      for (const see of watchers) see(request)
    },
    env: {
      ERRAND_LOG_LEVEL: 'warn',
      ERRAND_ALLOWED_NETWORKS: names.map((name) => `${name}=${island.network}`).join(','),
      ...options.env,
    },
  })
  return {
    errand,
    forge,
    outside: island.outside,
    watchModel: (see) => {
      watchers.add(see)
      return () => watchers.delete(see)
    },
    close: async () => {
      await errand.stop()
      await forge.remove()
      await island.remove()
    },
  }
}

/** With SIGKILL: a program of the installation, or what is in the session's sandbox. Waits for it when it is just starting. */
export async function kill(
  { errand }: Pick<Bench, 'errand'>,
  victim: Victim,
  sessionId: string,
): Promise<void> {
  const find = () =>
    isInside(victim)
      ? findInside(errand.dataDir, sessionId, victim)
      : findProgram(errand.dataDir, victim)
  const pid = await eventually(`a ${victim} to kill`, find)
  process.kill(pid, 'SIGKILL')
}

export const isInside = (victim: Victim): victim is InsideName =>
  INSIDE.some((name) => name === victim)

/** What the agent left behind and is still there when it asks the model for the first time after its death. */
export function watchOrphans(bench: Bench, sessionOf: (body: string) => string | undefined) {
  const orphans = { found: [] as string[], looks: 0, end: () => undefined as unknown }
  orphans.end = bench.watchModel(({ body }) => {
    if (!body.includes(GO_ON) || !lastUserText(JSON.parse(body)).includes(GO_ON)) return
    const sessionId = sessionOf(body)
    if (sessionId === undefined) return
    orphans.looks++
    const commands = commandsInside(bench.errand.dataDir, sessionId)
    orphans.found.push(...commands.filter((command) => AGENTS_COMMAND.test(command)))
  })
  return orphans
}

/** Asks again while it throws. */
export async function eventually<T>(what: string, ask: () => T | Promise<T>): Promise<T> {
  const until = performance.now() + FIND_LIMIT_MS
  for (;;) {
    try {
      return await ask()
    } catch (cause) {
      if (performance.now() > until) throw new Error(`waited in vain for ${what}`, { cause })
      await delay(POLL_MS)
    }
  }
}
