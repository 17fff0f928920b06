// Two servers of one installation, one of them frozen in the middle of three effects and thawed after the other has taken
// them over: each effect happens once, as git, sandboxd and the log have it.
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createSampleRepository } from '../../demo/repository.ts'
import { delay } from '../../src/lib/deadline.ts'
import type { NewSession } from '../../src/protocol/api.ts'
import type { PhaseName, SessionState } from '../../src/protocol/session.ts'
import type { ServerSettings } from '../../src/settings.ts'
import { clientConfig } from '../../src/store/postgres/database.ts'
import { eventsOf, type Installation, startInstallation } from '../e2e/installation.ts'
import { runInside } from '../e2e/transcript.ts'
import { createRepositoryUpload } from '../e2e/upload.ts'
import { findProgram, type ProgramName, runtimeDirOf } from './processes.ts'
import { type SecondServer, startSecondServer } from './second-server.ts'

const TAKEN_OVER_WITHIN_MS = 45_000
const LOOK_EVERY_MS = 100

let errand: Installation
let second: SecondServer
let database: pg.Pool
let folder: string
let repository: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-take-over-'))
  repository = join(folder, 'cart')
  await createSampleRepository(repository)
  errand = await startInstallation({ env: { ERRAND_LOG_LEVEL: 'fatal' } })
  second = await startSecondServer(errand)
  const settings = join(runtimeDirOf(errand.dataDir), 'settings/server.json')
  const { connection }: ServerSettings = JSON.parse(await readFile(settings, 'utf8'))
  database = new pg.Pool({ ...clientConfig(connection), max: 1 })
})
afterAll(async () => {
  for (const name of ['server', 'gitd', 'sandboxd'] as const) send(name, 'SIGCONT')
  await database?.end()
  await second?.stop()
  await errand?.stop()
  await rm(folder, { recursive: true, force: true })
})

function send(name: ProgramName, signal: 'SIGSTOP' | 'SIGCONT'): void {
  process.kill(findProgram(errand.dataDir, name), signal)
}

interface Row {
  session: string
  kind: string
  state: string
  owner: string | null
  generation: number
}

/** Workers are named by their process. */
const isOfSecond = ({ owner }: Row) => owner?.split('/').includes(String(second.pid)) ?? false

/** The latest effect of each of these sessions, once they all fit. */
async function untilEffects(ids: string[], fits: (row: Row) => boolean): Promise<Row[]> {
  const latest = `select distinct on (session_id) session_id as session, kind, state, owner, generation
    from effects where session_id = any($1) order by session_id, position desc`
  for (;;) {
    const { rows } = await database.query<Row>(latest, [ids])
    if (rows.length === ids.length && rows.every(fits)) return rows
    await delay(LOOK_EVERY_MS)
  }
}

/** Process 1 of a session's sandbox, as sandboxd started it last. */
function runOf(id: string): Promise<string> {
  return readFile(join(errand.dataDir, 'sandboxes', id, 'run.json'), 'utf8')
}

function create(kind: NewSession['kind'], prompt: string, source: NewSession['source']) {
  return second.client.createSession({ prompt, kind, source })
}

/** Three sessions with an effect each that the second server holds, in the middle of it: prepare, start and stop. */
async function freezeInTheMiddle() {
  const ready = await errand.start(repository, 'echo one', { kind: 'command' })
  expect(eventsOf(await errand.finish(ready.id), 'turn.completed')).toHaveLength(1)
  // The first server holds nothing when it is frozen.
  await untilEffects([ready.id], ({ state }) => state === 'done')
  const sources = [
    await createRepositoryUpload(errand, repository),
    await createRepositoryUpload(errand, repository),
  ] as const
  send('server', 'SIGSTOP')
  send('sandboxd', 'SIGSTOP')
  const starting = await create('agent', 'make the failing test pass', sources[0])
  await second.client.actOnSession(ready.id, 'stop')
  await untilEffects([starting.id], (row) => isOfSecond(row) && row.kind === 'sandbox.start')
  await untilEffects([ready.id], (row) => isOfSecond(row) && row.kind === 'sandbox.stop')
  send('gitd', 'SIGSTOP')
  const preparing = await create('agent', 'make the failing test pass', sources[1])
  await untilEffects([preparing.id], isOfSecond)
  await untilStarted(starting.id, 'sandbox')
  await untilStarted(preparing.id, 'fetch')
  process.kill(second.pid, 'SIGSTOP')
  return [ready.id, starting.id, preparing.id] as const
}

async function untilStarted(id: string, name: PhaseName): Promise<void> {
  const isOn = (state: SessionState) =>
    state.sandbox.phases.some((phase) => phase.name === name && phase.state === 'running')
  while (!isOn(await second.client.getSession(id))) await delay(LOOK_EVERY_MS)
}

it('does what the other was frozen in once, and takes it over within 45 seconds', async () => {
  const [stopped, started, prepared] = await freezeInTheMiddle()
  const frozenAt = Date.now()
  // What the frozen one had asked for is done now; it does not learn of it.
  for (const name of ['gitd', 'sandboxd', 'server'] as const) send(name, 'SIGCONT')
  await untilEffects([stopped, started, prepared], (row) => !isOfSecond(row))
  expect(Date.now() - frozenAt).toBeLessThan(TAKEN_OVER_WITHIN_MS)

  await Promise.all([errand.finish(started), errand.finish(prepared)])
  expect(await runInside(errand, stopped, 'echo two')).toBe('two\n')
  const ids = [stopped, started, prepared]
  const runs = await Promise.all(ids.map(runOf))
  process.kill(second.pid, 'SIGCONT')
  // It goes on where it was before it answers.
  expect(await second.client.getSession(stopped)).toMatchObject({ status: 'idle' })

  for (const id of ids) expect(await runInside(errand, id, 'echo three')).toBe('three\n')
  expect(await Promise.all(ids.map(runOf))).toEqual(runs)
  for (const id of [started, prepared]) {
    const { events } = await errand.client.readEvents(id, { limit: 1000 })
    expect(eventsOf(events, 'sandbox.preparing')).toHaveLength(1)
    expect(eventsOf(events, 'repository.resolved')).toHaveLength(1)
    expect(eventsOf(events, 'sandbox.ready')).toHaveLength(1)
    expect(eventsOf(events, 'push.accepted')).toHaveLength(1)
    expect((await errand.client.getDiff(id)).commits).toHaveLength(1)
  }
  const { events } = await errand.client.readEvents(stopped, { limit: 1000 })
  expect(eventsOf(events, 'sandbox.preparing')).toHaveLength(2)
  // The clock may see that it is gone before the stop is taken over.
  const ends = [...eventsOf(events, 'sandbox.stopped'), ...eventsOf(events, 'sandbox.lost')]
  expect(ends).toHaveLength(1)
  const asked = errand.model.requests.filter(({ side, usage }) => !side && usage)
  const sizes = asked.map(({ body }) => JSON.parse(body).messages.length)
  for (const size of new Set(sizes)) expect(sizes.filter((other) => other === size)).toHaveLength(2)
}, 240_000)
