// The memory of all of Errand at rest with its PostgreSQL, of a session whose agent waits, and what is left of a session
// that was stopped: no process.
import { delay } from '../src/lib/deadline.ts'
import { createRepositoryUpload } from '../test/e2e/upload.ts'
import type { Benchmark } from './benchmark.ts'
import { createFigure } from './figure.ts'
import { startErrand, TURN_ENDS } from './installation.ts'
import { installationPids, pssMib, sandboxPids } from './processes.ts'
import { createHookRepository } from './start-session.ts'

/** After this, what a start or an end needed has been given back. */
const SETTLE_MS = 5_000
const APART_MS = 250

export const memory: Benchmark = {
  name: 'memory',
  about: 'memory of all of Errand at rest, of a session, and of a stopped one',
  run: async (context) => {
    const { runs, say } = context
    const errand = await startErrand(context)
    const sampled = async (what: string, measure: () => Promise<number>) => {
      say(what)
      await delay(SETTLE_MS)
      const samples: number[] = []
      for (let run = 0; run < runs; run++) {
        samples.push(await measure())
        await delay(APART_MS)
      }
      return samples
    }
    const pids = await installationPids(errand.pid)
    const rest = await sampled('Errand at rest', async () =>
      pssMib(await installationPids(errand.pid)),
    )
    const source = await createRepositoryUpload(errand, await createHookRepository(context))
    const { id } = await errand.client.createSession({ prompt: 'Say hello.', source })
    const events = await errand.follow(id, TURN_ENDS)
    const session = await sampled('a session at rest', async () => pssMib(await sandboxPids(id)))
    await errand.client.actOnSession(id, 'stop')
    await errand.follow(id, ['sandbox.stopped'], events.at(-1)?.seq)
    const stopped = await sampled('a stopped session', async () => (await sandboxPids(id)).length)
    const after = await sampled('Errand after a session', async () =>
      pssMib(await installationPids(errand.pid)),
    )
    const figure = { unit: 'MiB', benchmark: 'memory' }
    return [
      createFigure({ ...figure, name: 'memory', ours: rest, note: `${pids.length} processes` }),
      createFigure({ ...figure, name: 'memory-after', ours: after, note: 'after one session' }),
      createFigure({ ...figure, name: 'memory-session', ours: session, note: 'runner and agent' }),
      createFigure({ ...figure, name: 'memory-stopped', unit: 'processes', ours: stopped }),
    ]
  },
}
