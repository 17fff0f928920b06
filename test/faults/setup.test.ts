// Programs that are killed while a setup script runs: the script goes on or is begun anew, and nothing of it is left.
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createSampleRepository } from '../../demo/repository.ts'
import { eventsOf, type Installation, startInstallation } from '../e2e/installation.ts'
import { findProgram, type ProgramName } from './processes.ts'

/** Leases of an effect and of a layer have to run out, one after the other. */
const TAKEN_OVER_MS = 150_000

let errand: Installation
let folder: string
let repository: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-setup-faults-'))
  repository = join(folder, 'cart')
  await createSampleRepository(repository)
  errand = await startInstallation()
})
afterAll(async () => {
  await errand.stop()
  await rm(folder, { recursive: true, force: true })
})

const kill = (name: ProgramName) => process.kill(findProgram(errand.dataDir, name), 'SIGKILL')
const namesIn = (path: string) => readdir(join(errand.dataDir, path)).catch(() => [])

it.each<[string, ProgramName[], string]>([
  ['the gateway and sandboxd', ['gateway', 'sandboxd'], 'begins\nends\n'],
  ['the server', ['server'], 'begins\nends\n'],
])('when %s is killed', { timeout: 2 * TAKEN_OVER_MS }, async (name, victims, output) => {
  const { id: environment } = await errand.client.createEnvironment({
    name,
    setup: 'echo begins | tee -a /opt/log; sleep 5; echo ends >> /opt/log',
  })
  const command = { environment, kind: 'command' as const }
  const { id } = await errand.start(repository, 'cat /opt/log', command)
  const before = await errand.follow(id, ({ body }) => body.type === 'phase.logged')
  for (const victim of victims) kill(victim)
  await expect
    .poll(
      async () => {
        const { lastTurn, failure } = await errand.client.getSession(id)
        if (failure) throw new Error(failure.message)
        return lastTurn?.outcome
      },
      {
        timeout: TAKEN_OVER_MS,
        interval: 500,
      },
    )
    .toBe('completed')
  const events = [...before, ...(await errand.finish(id, before.at(-1)?.seq))]
  expect(
    eventsOf(events, 'command.output')
      .map(({ text }) => text)
      .join(''),
  ).toBe(output)
  await expect.poll(() => namesIn('sandboxes'), { timeout: 30_000 }).toEqual([id])
  expect(await namesIn('layers')).toHaveLength(1)
  await errand.client.removeSession(id)
  await errand.client.rebuildEnvironment(environment)
  await expect.poll(() => namesIn('layers'), { timeout: 60_000, interval: 500 }).toEqual([])
})
