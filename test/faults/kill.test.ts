// The programs of an installation are killed with SIGKILL in the middle of a turn: the turn goes on to its end, nothing is
// lost and nothing is done twice.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSampleRepository } from '../../demo/repository.ts'
import { eventsOf, type Installation, startInstallation } from '../e2e/installation.ts'
import { findProgram, type ProgramName } from './processes.ts'

let errand: Installation
let folder: string
let repository: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-kill-'))
  repository = join(folder, 'cart')
  await createSampleRepository(repository)
  errand = await startInstallation({ paceMs: 15, env: { ERRAND_LOG_LEVEL: 'fatal' } })
})
afterAll(async () => {
  await errand?.stop()
  await rm(folder, { recursive: true, force: true })
})

/** How often the model answered a conversation request with the same number of messages: 1 each when nothing was doubled. */
function repeated(since: number): number[] {
  const sizes = errand.model.requests.slice(since).filter(({ side, usage }) => !side && usage)
  const counts = new Map<number, number>()
  for (const { body } of sizes) {
    const size = JSON.parse(body).messages.length
    counts.set(size, (counts.get(size) ?? 0) + 1)
  }
  return [...counts.values()]
}

describe.each<ProgramName>(['server', 'gateway', 'gitd', 'sandboxd', 'postgres'])(
  '%s killed',
  (program) => {
    it.each(['tool.called', 'assistant.text'] as const)(
      'in a turn, at the first %s',
      async (moment) => {
        const since = errand.model.requests.length
        const { id } = await errand.start(repository, 'make the failing test pass')
        const seen = await errand.follow(id, ({ body }) => body.type === moment)
        process.kill(findProgram(errand.dataDir, program), 'SIGKILL')
        const events = [...seen, ...(await errand.finish(id, seen.at(-1)?.seq))]
        expect(eventsOf(events, 'turn.completed')).toHaveLength(1)
        expect(eventsOf(events, 'push.accepted')).toHaveLength(1)
        const said = [
          ...eventsOf(events, 'assistant.text'),
          ...eventsOf(events, 'tool.called'),
        ].map(({ uuid }) => uuid)
        expect(new Set(said).size).toBe(said.length)
        expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => index + 1))
        const diff = await errand.client.getDiff(id)
        expect(diff.commits).toHaveLength(1)
        if (program !== 'gateway') expect(repeated(since).every((count) => count === 1)).toBe(true)
        await errand.client.removeSession(id)
      },
    )
  },
)
